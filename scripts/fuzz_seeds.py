"""Writes a few small networks of every kind of step as .gsm files, for the fuzzer to begin with."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from gossamer.deploy import compile as compile_network


class Attends(nn.Module):
    """A block of a transformer, with an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 4)
        self.block = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.block(self.table(tokens))


class Shapes(nn.Module):
    """Views, concatenation, reductions, softmax."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([x.transpose(1, 2), x.amax(1, keepdim=True).expand(-1, 3, -1)], dim=1)
        return torch.softmax(y @ y.transpose(1, 2), dim=-1).mean(1)


def main(folder: Path) -> None:
    sparse = nn.Linear(24, 9)
    with torch.no_grad():
        sparse.weight[torch.rand(9, 24) < 0.8] = 0.0
    networks: dict[str, tuple[nn.Module, Tensor]] = {
        "dense": (nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.randn(2, 3)),
        "sparse": (nn.Sequential(sparse, nn.GELU()), torch.randn(2, 24)),
        "image": (
            nn.Sequential(
                nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten()
            ),
            torch.randn(2, 2, 8, 8),
        ),
        "grouped": (nn.Conv2d(4, 4, 3, groups=4, stride=2), torch.randn(1, 4, 7, 7)),
        "attention": (Attends(), torch.randint(0, 9, (2, 3))),
        "shapes": (Shapes(), torch.randn(2, 3, 3)),
    }
    for name, (model, example) in networks.items():
        compile_network(model.eval(), (example,), threads=1).save(folder / f"{name}.gsm")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
