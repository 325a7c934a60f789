"""A training step of a sparse linear layer (product and both gradients) and what its training keeps in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

import torch
from torch import nn

from gossamer.bench.case import Amount, Call, Case, Patience, Peer
from gossamer.bench.memory import peak_bytes
from gossamer.nn import SparseLinear

_SIDE, _BATCH, _DENSITY = 1024, 256, 0.1
_WIDE = 4096  # of the layer whose memory is measured: large beside what a process needs anyway


def cases(patience: Patience) -> Iterator[Case | Amount]:
    """Yields the family's cases."""
    dense = nn.Linear(_SIDE, _SIDE)
    bars: dict[Literal["blocks", "csr"], float] = {"blocks": 4.0, "csr": 2.5}
    for kernel, bar in bars.items():
        sparse = SparseLinear.random(_SIDE, _SIDE, _DENSITY, kernel=kernel)
        yield Case(
            f"step of {_SIDE}x{_SIDE}, 90% zeros, batch {_BATCH}, {kernel}",
            _step(sparse),
            (Peer("dense", _step(dense), bar, tolerance=None),),
            training=True,
            flops=3 * 2.0 * _DENSITY * _SIDE**2 * _BATCH,
        )
        if patience.full:
            yield Amount(
                f"peak memory of weights, gradients and momentum, {_WIDE}x{_WIDE}, 90% zeros, {kernel}",
                partial(peak_bytes, f"{__name__}:two_steps", kernel),
                "dense",
                partial(peak_bytes, f"{__name__}:two_steps", "dense"),
                bar=5.0,
            )


def _step(layer: nn.Module) -> Call:
    x, flow = torch.randn(_BATCH, _SIDE, requires_grad=True), torch.randn(_BATCH, _SIDE)

    def run() -> object:
        x.grad = None
        layer.zero_grad()
        layer(x).backward(flow)
        return x.grad

    return run


def two_steps(kind: str) -> Call:
    """Returns two steps of momentum with one example, so that weights, gradients and momentum are what takes memory."""
    torch.manual_seed(0)
    _train(_layer(kind, 64), 64)  # what the first call of everything needs is there before
    layer = _layer(kind, _WIDE)

    def run() -> int:
        _train(layer, _WIDE)
        return sum(held.nbytes for held in (*layer.parameters(), *layer.buffers()))

    return run


def _layer(kind: str, side: int) -> nn.Module:
    if kind == "dense":
        return nn.Linear(side, side)
    return SparseLinear.random(side, side, _DENSITY, kernel="csr" if kind == "csr" else "blocks")


def _train(layer: nn.Module, side: int) -> None:
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.randn(1, side)).square().sum().backward()
        optimizer.step()
