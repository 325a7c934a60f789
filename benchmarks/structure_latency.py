"""Times networks that lost half of their channels against whole ones, as they are deployed.

    python benchmarks/structure_latency.py [--threads 2] [--ratio 0.5]

Widths are multiples of what measures fastest here (`gossamer.deploy.widths`), and both networks are deployed in the
same way: accelerated, and compiled where the network can be; the faster of the two counts, for either.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import nn

import gossamer
from gossamer.deploy import accelerate
from gossamer.deploy import compile as compiled
from gossamer.deploy.widths import fastest
from gossamer.graph.generate import power_law
from gossamer.models import build
from gossamer.timing import interleaved, using_threads

MULTIPLES = (1, 8, 16)


def cases() -> dict[str, tuple[nn.Module, tuple[Any, ...]]]:
    """Returns networks with the arguments of a call."""
    sage = {"hidden": 128, "layers": 3}
    return {
        "ResNet-20, one image": (build("resnet20", in_channels=3, classes=10), (torch.randn(1, 3, 32, 32),)),
        "ResNet-20, 32 images": (build("resnet20", in_channels=3, classes=10), (torch.randn(32, 3, 32, 32),)),
        "GraphSAGE, 2,708 nodes": (
            build("sage", in_features=1433, out_features=7, **sage),
            (torch.randn(2708, 1433), power_law(2708, 10556, seed=0)),
        ),
        "GraphSAGE, 50,000 nodes": (
            build("sage", in_features=128, out_features=40, **sage),
            (torch.randn(50_000, 128), power_law(50_000, 700_000, seed=0)),
        ),
    }


def deployed(model: nn.Module, example: tuple[Any, ...], threads: int) -> dict[str, Any]:
    """Returns the ways in which a network can be deployed."""
    ways: dict[str, Any] = {"accelerate": accelerate(model, example, threads=threads).model}
    try:
        ways["compile"] = compiled(model, example, threads=threads)
    except gossamer.errors.GossamerError as error:
        print(f"  not compiled: {error}")
    return ways


def main() -> None:
    """Prints a line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ratio", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    torch.manual_seed(0)
    for name, (model, example) in cases().items():
        model.eval()
        plans = {of: gossamer.plan(model, example, ratio=options.ratio, multiple_of=of) for of in MULTIPLES}
        best = fastest(plans, model, example, threads=options.threads, seconds=1.0)
        ways = {
            f"{kind} {way}": call
            for kind, network in (("whole", model), ("small", best.apply(model).eval()))
            for way, call in deployed(network, example, options.threads).items()
        }
        with torch.no_grad(), using_threads(options.threads):
            calls = {way: lambda call=call, example=example: call(*example) for way, call in ways.items()}
            times = interleaved(calls, repeats=2000, seconds=options.seconds)
        medians = {way: timing.median_ms for way, timing in times.items()}
        whole, small = (min(ms for way, ms in medians.items() if way.startswith(kind)) for kind in ("whole", "small"))
        print(f"{name}: {whole:.3g} -> {small:.3g} ms, {whole / small:.2f}x; widths {best.rounding}")
        print(f"  {', '.join(f'{way} {ms:.3g} ms' for way, ms in medians.items())}", flush=True)


if __name__ == "__main__":
    main()
