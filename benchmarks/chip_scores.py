"""Times the independence of channels against its definition: one singular value decomposition a channel.

    python benchmarks/chip_scores.py [--threads 1]

Shapes are those of maps in a ResNet-56 on CIFAR-10 and in a ResNet-50 on ImageNet, and of hidden units on Cora. The
definition is timed on few images, and both are given in milliseconds an image.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from gossamer.structure.chip import independence

SHAPES = {  # channels, places, images for us and for the definition
    "ResNet-56, stage 1": (16, 32 * 32, 64, 8),
    "ResNet-56, stage 2": (32, 16 * 16, 64, 8),
    "ResNet-56, stage 3": (64, 8 * 8, 64, 4),
    "ResNet-50, stage 2": (128, 28 * 28, 8, 1),
    "ResNet-50, stage 4": (512, 7 * 7, 4, 1),
    "GraphSAGE on Cora": (64, 2708, 4, 1),
}


def by_definition(maps: Tensor) -> Tensor:
    """Returns the drop of the nuclear norm, in double precision as ours."""
    maps = maps.double()
    drops = []
    for a in maps:
        whole = torch.linalg.svdvals(a).sum()
        rows = []
        for row in range(len(a)):
            without = a.clone()
            without[row] = 0.0
            rows.append(whole - torch.linalg.svdvals(without).sum())
        drops.append(torch.stack(rows))
    return torch.stack(drops)


def main() -> None:
    """Prints a line a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    generator = torch.Generator().manual_seed(0)
    for name, (channels, places, ours, theirs) in SHAPES.items():
        maps = torch.randn(ours, channels, places, generator=generator).relu()
        independence(maps[:1])
        began = time.perf_counter()
        found = independence(maps)
        middle = time.perf_counter()
        expected = by_definition(maps[:theirs])
        end = time.perf_counter()
        quick, slow = 1e3 * (middle - began) / ours, 1e3 * (end - middle) / theirs
        error = float((found[:theirs] - expected).abs().max() / expected.max())
        print(f"{name:<20} {quick:9.2f} ms  {slow:10.1f} ms  {slow / quick:7.1f}x  difference {error:.0e}", flush=True)


if __name__ == "__main__":
    main()
