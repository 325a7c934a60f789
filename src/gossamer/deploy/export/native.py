"""Networks as .gsm files, which this library's own engine runs, from Python or C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn


def to_bytes(model: nn.Module, example: Sequence[Any], *, dynamic: bool) -> bytes:
    """Returns the content of a .gsm file.

    Raises:
        ModelError: The network cannot be traced, or parts of it run in PyTorch; they are named.
    """
    from gossamer.deploy.engine.compile import compile as compile_network
    from gossamer.deploy.engine.file import to_bytes as content

    return content(compile_network(model, tuple(example), dynamic=dynamic))


def runner(data: bytes) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """Returns what runs the content of a .gsm file on tensors."""
    from gossamer.runtime import load

    network = load(data)

    def run(tensors: Sequence[Tensor]) -> list[Tensor]:
        found = network(*tensors)
        return list(found) if isinstance(found, tuple) else [found]

    return run
