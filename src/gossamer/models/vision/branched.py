"""Small networks whose operators meet in sums: residual blocks, and cells of branches that are added."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Residual(nn.Module):
    """A convolution of stride 2 and three residual blocks of widths w, 2w and 4w, the last two of stride 2."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.stem = _convolution(channels, width, 3, stride=2)
        self.blocks = nn.ModuleList(
            [Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2)]
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = F.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Block(nn.Module):
    """Two normalised convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(before, after, 3, stride=stride)
        self.second = _convolution(after, after, 3)
        self.shortcut = nn.Identity() if before == after else _convolution(before, after, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Adds what the convolutions make of x to x."""
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class Cells(nn.Module):
    """Three cells of three branches each, kernels of 1, 3 and 5, that are added; the image is halved between."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.stem = _convolution(channels, width, 3, stride=2)
        self.cells = nn.ModuleList(Cell(width) for _ in range(3))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = F.relu(self.stem(x))
        for number, cell in enumerate(self.cells):
            x = cell(x)
            if number < 2 and x.shape[-1] > 1:
                x = F.max_pool2d(x, 2)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Cell(nn.Module):
    """Normalised convolutions with kernels of 1, 3 and 5, added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.point, self.three, self.five = (_convolution(width, width, kernel) for kernel in (1, 3, 5))

    def forward(self, x: Tensor) -> Tensor:
        """Adds what the branches make of x."""
        return F.relu(self.point(x) + self.three(x) + self.five(x))


def _convolution(before: int, after: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(after)
    )
