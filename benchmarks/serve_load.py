"""Loads a server that `gossamer serve` started, and says what it answered and how fast.

    python -m benchmarks.serve_load net.gsm

In three parts, each against its bar:

- 10,000 requests from 64 connections: no error.
- Half of that rate, requests sent at times of their own and not when the last is answered: the 99th percentile of the
  time is at most 5 times that of a lone request.
- A server with a small queue, and more connections than it takes: it refuses some with 503, answers the others, and is
  well afterwards.

Then it is killed and started again, and the time until it answers is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from gossamer.bench.networks import inputs_for
from gossamer.runtime import load


def body_of(path: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, inputs_for(load(path, threads=1), 1, 0)[0])
    return stream.getvalue()


class Server:
    """A server process on a port."""

    def __init__(self, path: Path, port: int, *words: str) -> None:
        self.start = time.perf_counter()
        command = [sys.executable, "-m", "gossamer", "serve", str(path), "--port", str(port), "--threads", "1", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split(":")[2].split()[0])

    def kill(self) -> None:
        """Ends it without a word."""
        self.process.kill()
        self.process.wait()


class Connection:
    """One connection that is kept open."""

    def __init__(self, port: int, body: bytes) -> None:
        lines = ["POST /predict HTTP/1.1", "Host: x", "Content-Type: application/x-npy", f"Content-Length: {len(body)}"]
        self._port, self._text = port, "\r\n".join([*lines, "\r\n"]).encode() + body

    async def __aenter__(self) -> Connection:
        self._in, self._out = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._out.close()

    async def ask(self) -> tuple[int, float]:
        """Returns the status code and the seconds."""
        start = time.perf_counter()
        self._out.write(self._text)
        head = await self._in.readuntil(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().splitlines() if line.startswith(b"content-length")]
        length = int(lengths[0])
        await self._in.readexactly(length)
        return int(head.split(b" ")[1]), time.perf_counter() - start


async def closed(port: int, body: bytes, connections: int, requests: int) -> tuple[Counter[int], list[float], float]:
    """Each connection sends when its last request is answered."""
    codes: Counter[int] = Counter()
    times: list[float] = []
    left = requests

    async def work() -> None:
        nonlocal left
        async with Connection(port, body) as connection:
            while left > 0:
                left -= 1
                code, seconds = await connection.ask()
                codes[code] += 1
                times.append(seconds)

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return codes, times, time.perf_counter() - start


async def opened(
    port: int, body: bytes, connections: int, rate: float, requests: int
) -> tuple[Counter[int], list[float]]:
    """Requests are due at times of their own, as of a Poisson process; their time counts from when they were due."""
    chance = np.random.default_rng(0)
    due = time.perf_counter() + 0.2 + np.cumsum(chance.exponential(1 / rate, requests))
    codes: Counter[int] = Counter()
    times: list[float] = []
    place = iter(range(requests))

    async def work() -> None:
        async with Connection(port, body) as connection:
            for own in place:
                await asyncio.sleep(max(0.0, due[own] - time.perf_counter()))
                code, _ = await connection.ask()
                codes[code] += 1
                times.append(time.perf_counter() - due[own])

    await asyncio.gather(*(work() for _ in range(connections)))
    return codes, times


def milliseconds(times: list[float]) -> dict[str, float]:
    return {
        "median_ms": 1e3 * statistics.median(times),
        "p99_ms": 1e3 * float(np.quantile(times, 0.99)),
        "most_ms": 1e3 * max(times),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path)
    parser.add_argument("--port", type=int, default=8791)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    gc.disable()  # its pauses would count as the server's
    body = body_of(options.network)

    server = Server(options.network, options.port)
    asyncio.run(closed(server.port, body, 1, 200))
    _, times, _ = asyncio.run(closed(server.port, body, 1, 500))
    lone = statistics.median(times)
    codes, times, seconds = asyncio.run(closed(server.port, body, options.connections, options.requests))
    rate = options.requests / seconds
    print(json.dumps({"full": {"codes": codes, "requests_per_second": rate, **milliseconds(times)}}), flush=True)
    codes, times = asyncio.run(opened(server.port, body, options.connections, rate / 2, options.requests // 2))
    found = milliseconds(times)
    print(
        json.dumps(
            {"half": {"codes": codes, "lone_ms": 1e3 * lone, "p99_of_lone": found["p99_ms"] / 1e3 / lone, **found}}
        )
    )
    server.kill()

    server = Server(options.network, options.port)
    asyncio.run(closed(server.port, body, 1, 1))
    print(json.dumps({"restart": {"seconds": time.perf_counter() - server.start}}), flush=True)
    server.kill()

    server = Server(options.network, options.port, "--queue", "8")
    codes, times, _ = asyncio.run(closed(server.port, body, 2 * options.connections, options.requests))
    after, _, _ = asyncio.run(closed(server.port, body, 1, 10))
    print(json.dumps({"overload": {"codes": codes, "after": after, **milliseconds(times)}}), flush=True)
    server.kill()


if __name__ == "__main__":
    main()
