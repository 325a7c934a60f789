"""`gossamer serve`: a network's .gsm file behind HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from gossamer.commands.command import MaybeWhole, Whole

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Answers requests over HTTP with a network's .gsm file, many at once as one batch, until it is stopped.

    POST /predict takes JSON or .npy, and / says which inputs; /health and /metrics (Prometheus) are for machines. A
    full queue refuses with 503. There is no encryption and no login: put it behind a proxy that has both.

    Examples:
      gossamer serve net.gsm
      gossamer serve net.gsm --port 9000 --batch 64 --queue 256 --threads 2
      curl localhost:8000/predict -H 'Content-Type: application/x-npy' --data-binary @x.npy -o y.npy
    """

    network: Annotated[Path, Positional, arg(metavar="FILE.gsm")] = field(metadata={"positional": True})
    host: str = "127.0.0.1"  # address to listen on; 0.0.0.0 is every one
    port: Whole = 8000  # 0 takes any that is free
    threads: MaybeWhole = None  # of the network (default: all cores)
    batch: Whole = 32  # most rows that are answered as one
    wait_ms: float = 0.0  # how long a request waits for others that are on their way
    queue: Whole = 128  # most requests that wait; the next one is refused
    timeout_s: float = 10.0  # how long a request may take
    body_bytes: Whole = 0  # most bytes of a request (default: by the network's inputs)

    def run(self, console: Console) -> dict[str, Any]:
        """Serves; returns the address when it has been stopped."""
        del console
        from gossamer.errors import MissingExtraError
        from gossamer.runtime import load

        try:
            from gossamer.serve import Limits, serve
        except ImportError as error:
            raise MissingExtraError(f"the server needs {error.name}: pip install 'gossamer[serve]'") from error
        limits = Limits(
            batch=self.batch,
            wait_ms=self.wait_ms,
            queue=self.queue,
            timeout_s=self.timeout_s,
            body_bytes=self.body_bytes,
        )
        serve(load(self.network, threads=self.threads), host=self.host, port=self.port, limits=limits)
        return {"host": self.host, "port": self.port}
