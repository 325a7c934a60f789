"""Times sparse layers against dense ones: products, training steps, convolutions and a residual network.

python -m benchmarks.kernels.sparse_layers --threads 1

Every row names its bar, the ratio that is aimed at on one thread. Sparse weights are 90 % zeros unless a case says
otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.kernels.cases import threads
from benchmarks.timing import interleave
from gossamer.models import build
from gossamer.nn import SparseConv2d, SparseLinear

Call = Callable[[], object]


def report(family: str, case: str, count: int, bar: float, ours: Call, peer: str, theirs: Call) -> None:  # noqa: PLR0917
    """Times two calls in turns and prints one row."""
    times = interleave({"ours": ours, peer: theirs}, seconds=1.0)
    mine, its = times["ours"], times[peer]
    row = {
        "family": family,
        "case": case,
        "threads": count,
        "ours_ms": round(mine.median, 4),
        "peer": peer,
        "peer_ms": round(its.median, 4),
        "ratio": round(its.median / mine.median, 2),
        "spread": round(mine.spread / mine.median + its.spread / its.median, 3),
        "bar": bar,
    }
    print(json.dumps(row), flush=True)


def prune(layer: nn.Module, sparsity: float, kernel: str) -> None:
    """Zeros weights at random; in blocks, 16 outputs share their zeros."""
    weight = layer.weight
    shared = 16 if kernel == "blocks" else 1
    kept = torch.rand(-(-weight.shape[0] // shared), *weight.shape[1:]) >= sparsity
    weight.data.mul_(kept.repeat_interleave(shared, 0)[: weight.shape[0]])


def products(count: int) -> None:
    """Forward products of a linear layer."""
    bars = {
        "blocks": {0.0: 0.95, 0.5: 1.9, 0.8: 4.2, 0.9: 8.0},
        "csr": {0.9: 4.8, 0.95: 10.0},
    }
    cases = [(kernel, sparsity, bar, 256) for kernel, found in bars.items() for sparsity, bar in found.items()]
    cases += [("blocks", 0.9, 8.0, batch) for batch in (1, 2, 4, 8)]
    for rows, columns, wide in ((1024, 1024, 256), (512, 1152, 768), (4096, 4096, 8)):
        for kernel, sparsity, bar, batch in cases:
            batch = wide if batch == 256 else batch  # noqa: PLW2901  the widest of this shape
            dense = nn.Linear(columns, rows).requires_grad_(False)
            prune(dense, sparsity, kernel)
            sparse, x = SparseLinear.from_dense(dense, kernel), torch.randn(batch, columns)
            case = f"{kernel} {rows}x{columns}, {sparsity:.0%} zeros, batch {batch}"
            with torch.inference_mode():
                report("linear", case, count, bar, lambda s=sparse, x=x: s(x), "dense", lambda d=dense, x=x: d(x))
                if kernel == "csr":
                    torch_csr, bias = dense.weight.to_sparse_csr(), dense.bias
                    theirs = lambda w=torch_csr, x=x, b=bias: (w @ x.T).T + b  # noqa: E731
                    report("linear", case, count, 2.5, lambda s=sparse, x=x: s(x), "torch.sparse CSR", theirs)


def training(count: int) -> None:
    """Forward product and both gradients of a 1024 x 1024 layer at batch 256."""
    x, flow = torch.randn(256, 1024, requires_grad=True), torch.randn(256, 1024)

    def step(layer: nn.Module) -> Tensor:
        x.grad = None
        layer.zero_grad()
        out = layer(x)
        out.backward(flow)
        return out

    dense = nn.Linear(1024, 1024)
    for kernel, bar in (("blocks", 4.0), ("csr", 2.5)):
        sparse = SparseLinear.random(1024, 1024, 0.1, kernel=kernel)
        report("training step", kernel, count, bar, lambda s=sparse: step(s), "dense", lambda: step(dense))


def convolutions(count: int) -> None:
    """Convolutions of 3 x 3, 128 to 128 channels, 28 x 28."""
    for images in (1, 16):
        x = torch.randn(images, 128, 28, 28)
        for sparsity, bar in ((0.8, 3.0), (0.9, 5.0)):
            dense = nn.Conv2d(128, 128, 3, padding=1).requires_grad_(False)
            prune(dense, sparsity, "blocks")
            sparse = SparseConv2d.from_dense(dense, "blocks")
            case = f"blocks 128 to 128, 3x3, 28x28, {sparsity:.0%} zeros, batch {images}"
            with torch.inference_mode():
                report("conv2d", case, count, bar, lambda s=sparse, x=x: s(x), "dense", lambda d=dense, x=x: d(x))


def network(count: int) -> None:
    """ResNet-20 for images of 32 x 32, both compiled."""
    dense = build("resnet20", in_channels=3, classes=10).eval().requires_grad_(False)
    sparse = build("resnet20", in_channels=3, classes=10).eval().requires_grad_(False)
    for name, layer in list(dense.named_modules()):
        if isinstance(layer, nn.Conv2d):
            prune(layer, 0.9, "blocks")
            parent, _, attribute = name.rpartition(".")
            setattr(sparse.get_submodule(parent), attribute, SparseConv2d.from_dense(layer, "blocks"))
    ours, theirs = torch.compile(sparse), torch.compile(dense)
    for images, bar in ((32, 2.5), (1, 1.5)):
        x = torch.randn(images, 3, 32, 32)
        with torch.inference_mode():
            case = f"blocks, batch {images}, both compiled"
            report("resnet20", case, count, bar, lambda x=x: ours(x), "dense", lambda x=x: theirs(x))


def main() -> None:
    torch.manual_seed(0)
    for count in threads(__doc__):
        training(count)
        convolutions(count)
        products(count)
        network(count)


if __name__ == "__main__":
    main()
