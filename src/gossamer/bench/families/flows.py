"""Products of the networks on node vectors in four dataflows, and a whole step of such a network, against torch.

The shapes are those of Gurevin et al., "Towards real-time temporal graph learning", ICCD 2022: links in batches of 1024
with vectors of 8, nodes in batches of 512 with vectors of 64; with ReLU and the losses of the literature. Ours is the
flow that `best_flow` chooses; each flow by itself, and one thread, are among its peers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.bench.case import Call, Case, Patience, Peer
from gossamer.kernels.flows import Flow, multiply
from gossamer.models.graph import FNN

_NETWORKS = {"links": (1024, (16, 128, 1)), "nodes": (512, (64, 256, 256, 10))}


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    for name, (batch, widths) in _NETWORKS.items():
        for inputs, outputs in pairwise(widths):
            x, flow = torch.randn(batch, inputs), torch.randn(batch, outputs)
            weight = torch.randn(outputs, inputs)
            products = {"forward": (x, weight.T), "weight's gradient": (flow.T, x), "input's gradient": (flow, weight)}
            for what, (left, right) in products.items():
                if patience.full or what != "input's gradient":
                    yield _product(f"{name}, {inputs} to {outputs}, batch {batch}, {what}", left, right, patience)
        yield _step(name, batch, widths, patience)


def _product(name: str, x: Tensor, y: Tensor, patience: Patience) -> Case:
    ours = partial(multiply, x, y)
    flows = [Peer(f"{flow.name.lower()} flow", partial(multiply, x, y, flow=flow)) for flow in Flow]
    rows, inner, columns = *x.shape, y.shape[1]
    return Case(
        name,
        ours,
        (
            Peer("torch", partial(torch.matmul, x, y)),
            *(flows if patience.full else ()),
            Peer("one thread", ours, threads=1, tolerance=0.0),
        ),
        flops=2.0 * rows * inner * columns,
        bytes=4.0 * (rows * inner + inner * columns + rows * columns),
    )


def _step(name: str, batch: int, widths: tuple[int, ...], patience: Patience) -> Case:
    """Returns loss and gradients of a batch, against torch's layers one by one."""
    net, link = FNN(widths[0], widths[-1], widths[1:-1]), widths[-1] == 1
    x = torch.randn(batch, widths[0])
    y = torch.rand(batch).round() if link else torch.randint(widths[-1], (batch,))
    parameters = list(net.parameters())

    def ours() -> Tensor:
        loss = net.logistic_loss(x, y) if link else F.cross_entropy(net(x), y)
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)])

    def theirs() -> Tensor:
        out = _one_by_one(net, x)
        loss = F.binary_cross_entropy_with_logits(out[:, 0], y) if link else F.cross_entropy(out, y)
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)])

    macs = sum(before * after for before, after in pairwise(widths))
    call: Call = ours
    return Case(
        f"{name}, loss and gradients of {'-'.join(map(str, widths))}, batch {batch}",
        call,
        (Peer("torch", theirs, 1.0 if patience.full else None), Peer("one thread", call, threads=1, tolerance=None)),
        flops=2.0 * batch * (3 * macs - widths[0] * widths[1]),
        training=True,
    )


def _one_by_one(net: FNN, x: Tensor) -> Tensor:
    first, *others = net.linears
    assert isinstance(first, nn.Linear)
    out = F.linear(x, first.weight, first.bias)
    for layer in others:
        assert isinstance(layer, nn.Linear)
        out = F.linear(out.relu(), layer.weight, layer.bias)
    return out
