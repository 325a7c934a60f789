"""Small networks as files, for tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
from torch import nn

from gossamer.deploy import compile as compile_network


def net(seed: int = 0) -> nn.Module:
    """A convolution, pooling, a dense and a sparse linear layer: (batch, 2, 8, 8) to (batch, 4)."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 16), nn.ReLU(), nn.Linear(16, 4)
    )
    with torch.no_grad():
        model[4].weight[torch.rand(16, 27) < 0.8] = 0.0
    return model.eval()


@cache
def small_file() -> Path:
    """A file of `net()`, which tests read and do not change."""
    path = Path(mkdtemp()) / "small.gsm"
    return compile_network(net(), (torch.randn(1, 2, 8, 8),), threads=1).save(path)
