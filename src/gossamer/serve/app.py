"""The HTTP face of a network.

    GET  /          what the network takes and gives
    POST /predict   outputs for inputs, as JSON or as .npy
    GET  /health    200 while it answers
    GET  /metrics   for Prometheus

400: the body does not read or does not fit; 408: it came too slowly; 413: it is too large; 415: it is in another form;
503: too many wait, with `Retry-After`. Errors are `{"error": "..."}`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gossamer.errors import DataError
from gossamer.runtime import Network, Port
from gossamer.serve import bodies
from gossamer.serve.batcher import Batcher, OverloadError
from gossamer.serve.limits import Limits
from gossamer.serve.metrics import Metrics

_LARGE = 1 << 18  # bytes of a body that is read beside the event loop


class _RefusedError(Exception):
    def __init__(self, code: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.code, self.headers = code, headers


def application(network: Network, limits: Limits | None = None) -> Starlette:
    """Returns the ASGI application that answers with a network.

    Args:
        network: From `gossamer.runtime.load`.
        limits: How much it takes on.
    """
    limits = limits or Limits()
    front = _Front(network, limits)
    return Starlette(
        lifespan=front.lifespan,
        routes=[
            Route("/", front.signature),
            Route("/predict", front.predict, methods=["POST"]),
            Route("/health", front.health),
            Route("/metrics", front.metrics),
        ],
    )


class _Front:
    def __init__(self, network: Network, limits: Limits) -> None:
        self._network, self._limits = network, limits
        self._most = limits.body_bytes or bodies.most_bytes(network, limits.batch)
        self._one = len(network.inputs) == 1 and len(network.outputs) == 1

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Answers requests while the server runs."""
        del app
        self._metrics = Metrics()
        self._batcher = Batcher(self._network, self._limits, self._metrics.batch_of)
        self._engine = asyncio.create_task(self._batcher.run())
        try:
            yield
        finally:
            self._engine.cancel()
            with suppress(asyncio.CancelledError):
                await self._engine

    async def signature(self, request: Request) -> Response:
        """Says what the network takes and gives."""
        del request

        def described(ports: tuple[Port, ...]) -> list[dict[str, Any]]:
            return [{"name": port.name, "dtype": port.dtype, "shape": list(port.shape)} for port in ports]

        network = self._network
        return JSONResponse(
            {
                "inputs": described(network.inputs),
                "outputs": described(network.outputs),
                "batched": network.independent,
                "forms": [bodies.JSON, *([bodies.NPY] if self._one else [])],
            }
        )

    async def health(self, request: Request) -> Response:
        """Says whether requests are answered."""
        del request
        good = not self._engine.done()
        return JSONResponse(
            {"status": "ok" if good else "stopped", "queue": self._batcher.waiting}, 200 if good else 503
        )

    async def metrics(self, request: Request) -> Response:
        """Shows the counts."""
        del request
        return Response(self._metrics.text(self._batcher.waiting), media_type="text/plain; version=0.0.4")

    async def predict(self, request: Request) -> Response:
        """Answers, or says why not."""
        start = time.perf_counter()
        response = await self._answer(request)
        self._metrics.answered(response.status_code, time.perf_counter() - start)
        return response

    async def _answer(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await self._predict(request)
        except OverloadError as error:
            return _error(503, str(error), {"Retry-After": str(max(1, math.ceil(error.retry_s)))})
        except TimeoutError:
            return _error(503, f"no answer within {self._limits.timeout_s:g} s; try again later", {"Retry-After": "1"})
        except _RefusedError as error:
            return _error(error.code, str(error), error.headers)
        except DataError as error:
            return _error(400, str(error))
        except ClientDisconnect:
            return _error(400, "the body ended early")

    async def _predict(self, request: Request) -> Response:
        form = request.headers.get("content-type", bodies.JSON).partition(";")[0].strip().lower()
        if form == bodies.NPY and not self._one:
            raise _RefusedError(415, f"{bodies.NPY} is for networks of one input and one output; send {bodies.JSON}")
        if form not in {bodies.JSON, bodies.NPY}:
            raise _RefusedError(415, f"found {form[:100]!r}; expected {bodies.JSON} or {bodies.NPY}")
        read = bodies.read_json if form == bodies.JSON else bodies.read_npy
        with self._batcher.place():
            body = await self._body(request)
            if len(body) < _LARGE:
                arrays = read(self._network, body)
            else:
                arrays = await asyncio.to_thread(read, self._network, body)
            answer = self._batcher.ask(arrays)
        outputs = await answer
        if form == bodies.NPY:
            return Response(bodies.write_npy(outputs), media_type=bodies.NPY)
        return Response(bodies.write_json(self._network, outputs), media_type=bodies.JSON)

    async def _body(self, request: Request) -> bytes:
        too_large = _RefusedError(413, f"the body is larger than {self._most} bytes", Connection="close")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.timeout_s / 2):
                async for part in request.stream():
                    body += part
                    if len(body) > self._most:
                        raise too_large
        except TimeoutError:
            raise _RefusedError(408, "the body came too slowly", Connection="close") from None
        return bytes(body)


def _error(code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, code, headers)
