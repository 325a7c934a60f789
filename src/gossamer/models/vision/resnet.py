"""The residual networks for small images of He et al., "Deep Residual Learning", CVPR 2016, section 4.2.

A 3×3 convolution, three groups of n blocks at 16, 32 and 64 channels, and a linear layer after global average
pooling: 6n + 2 layers with weights, so n = 3 is ResNet-20 (0.27 M parameters) and n = 9 is ResNet-56 (0.85
M). Shortcuts between groups are the paper's option A: every second pixel, new channels filled with zeros, no
parameters. Half of the new channels stand before the old ones and half behind, as is usual; the paper does
not say.

With `survival` below 1 it has stochastic depth (Huang, Sun, Liu, Sedra & Weinberger, "Deep networks with stochastic
depth", ECCV 2016): block l of L takes part in a training step with probability p_l = 1 - l / L (1 - survival), and is
its shortcut otherwise; in prediction its branch is multiplied by p_l.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError


class ResNet(nn.Module):
    """A residual network of 6n + 2 layers.

    Args:
        in_channels: Channels of the image.
        classes: Width of the output.
        depth: Number of layers with weights: 8, 14, 20, 32, 44, 56, 110, ...
        survival: p_L, with which the last block takes part in a training step, in [0, 1]; the paper's is 0.5.

    Raises:
        ModelError: `depth` is not 6n + 2, or `survival` no probability.
    """

    def __init__(self, in_channels: int, classes: int, *, depth: int = 20, survival: float = 1.0) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ModelError(f"ResNet: depth is {depth}; expected 6n + 2, for example 20 or 56")
        if not 0.0 <= survival <= 1.0:
            raise ModelError(f"ResNet: survival is {survival}; expected a probability, such as 0.5")
        self.conv = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        widths = [
            pair
            for channels, before in ((16, 16), (32, 16), (64, 32))
            for pair in [(before, channels), *[(channels, channels)] * (blocks - 1)]
        ]
        self.blocks = nn.Sequential(
            *(
                Block(wide, narrow, survival=1.0 - place / len(widths) * (1.0 - survival))
                for place, (wide, narrow) in enumerate(widths, start=1)
            )
        )
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (B, in_channels, H, W) to (B, classes)."""
        x = self.blocks(F.relu(self.norm(self.conv(x))))
        out: Tensor = self.linear(x.mean((2, 3)))
        return out


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut; halves the image where it widens the channels.

    Args:
        in_channels: Of the input.
        out_channels: As many, or twice as many.
        survival: How likely the convolutions take part in a training step.
    """

    def __init__(self, in_channels: int, out_channels: int, *, survival: float = 1.0) -> None:
        super().__init__()
        self.survival = survival
        self.stride = 1 if in_channels == out_channels else 2
        self.new_channels = out_channels - in_channels
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, H, W) to (B, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        shortcut = x
        if self.new_channels:
            half = self.new_channels // 2
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.new_channels - half))
        if self.training and self.survival < 1.0 and float(torch.rand(())) >= self.survival:
            return F.relu(shortcut)
        out: Tensor = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if not self.training and self.survival < 1.0:
            out = self.survival * out
        return F.relu(out + shortcut)
