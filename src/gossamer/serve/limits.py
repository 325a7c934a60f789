"""How much a server takes on."""

from __future__ import annotations

from dataclasses import dataclass

from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class Limits(Settings):
    """How much a server takes on before it refuses.

    Attributes:
        batch: Most rows that are answered as one, where the network's rows are independent.
        wait_ms: How long the first request of a batch waits for others that are on their way; with none on its way,
            nobody waits.
        queue: Most requests that wait, or whose bodies are read; the next one is refused.
        timeout_s: How long a request may take, its body included.
        body_bytes: Most bytes of a body; 0 works it out from the network's inputs.
    """

    batch: int = bounded(32, ge=1)
    wait_ms: float = bounded(0.0, ge=0)
    queue: int = bounded(128, ge=1)
    timeout_s: float = bounded(10.0, gt=0)
    body_bytes: int = bounded(0, ge=0)
