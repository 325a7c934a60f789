"""Convolutions with few weights by design, for networks of your own.

For C channels in, N out, a k × k kernel and no bias:

| module | weights | plain convolution |
|---|---|---|
| `DepthwiseSeparable` | m C k² + m C N | N C k² |
| `Fire` | C s + s e₁ + 9 s e₃ | 9 C (e₁ + e₃) |
| `ShuffleUnit` | (C m + m N) / g + 9 m | 9 C N |

Each has `count()`, which gives the number without making the module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError


class CReLU(nn.Module):
    """Concatenates ReLU(x) and ReLU(-x) along the channels: (N, C, ...) to (N, 2 C, ...).

    The layer before needs half of its outputs: N/2 · C · k² weights in place of N · C · k². Shang, Sohn, Almeida & Lee,
    "Understanding and improving convolutional neural networks via concatenated rectified linear units", ICML 2016.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Returns both halves, the positive first."""
        return F.relu(torch.cat([x, -x], 1))


class MultiBias(nn.Module):
    """Gives each channel `biases` offsets and a ReLU behind each: (N, C, ...) to (N, C · biases, ...).

    C · biases numbers, and the layer before needs that many times fewer outputs. Li, Ouyang & Wang, "Multi-bias
    non-linear activation in deep neural networks", ICML 2016.

    Args:
        channels: C.
        biases: How many a channel, at least 1.
    """

    def __init__(self, channels: int, biases: int) -> None:
        super().__init__()
        _require_positive(channels=channels, biases=biases)
        self.bias = nn.Parameter(torch.zeros(channels, biases))
        nn.init.normal_(self.bias, std=0.1)  # all alike, they would stay so

    def forward(self, x: Tensor) -> Tensor:
        """Returns ReLU(x + b), all biases of a channel side by side."""
        if x.dim() < 2 or x.shape[1] != len(self.bias):
            raise ModelError(f"MultiBias: expected (N, {len(self.bias)}, ...), found {tuple(x.shape)}")
        offsets = self.bias.reshape(1, *self.bias.shape, *(1,) * (x.dim() - 2))
        return F.relu(x.unsqueeze(2) + offsets).flatten(1, 2)


class DepthwiseSeparable(nn.Sequential):
    """A k × k convolution of each channel alone, then a 1 × 1 convolution: m C k² + m C N weights, and N biases.

    Howard et al., "MobileNets", 2017, without the normalisation and activation between the two.

    Args:
        in_channels: C.
        out_channels: N.
        kernel_size: k.
        stride: In pixels.
        multiplier: m, kernels a channel, at least 1.
        bias: Whether outputs have one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        multiplier: int = 1,
        bias: bool = True,
    ) -> None:
        _require_positive(in_channels=in_channels, out_channels=out_channels, multiplier=multiplier)
        inner = in_channels * multiplier
        depthwise = nn.Conv2d(
            in_channels, inner, kernel_size, stride, padding=kernel_size // 2, groups=in_channels, bias=False
        )
        super().__init__(depthwise, nn.Conv2d(inner, out_channels, 1, bias=bias))

    @staticmethod
    def count(in_channels: int, out_channels: int, kernel_size: int = 3, multiplier: int = 1) -> int:
        """Returns the number of weights, without biases.

        >>> DepthwiseSeparable.count(64, 128), 64 * 128 * 9
        (8768, 73728)
        """
        return multiplier * in_channels * (kernel_size**2 + out_channels)


class Fire(nn.Module):
    """Squeezes to s channels by 1 × 1, then expands by 1 × 1 and 3 × 3 side by side: C s + s e₁ + 9 s e₃ weights.

    Iandola et al., "SqueezeNet", 2016, section 3.2; a ReLU after each of the three.

    Args:
        in_channels: C.
        squeeze: s.
        expand1: e₁, outputs of the 1 × 1 convolution, which come first.
        expand3: e₃, outputs of the 3 × 3 convolution.
    """

    def __init__(self, in_channels: int, squeeze: int, expand1: int, expand3: int) -> None:
        super().__init__()
        _require_positive(in_channels=in_channels, squeeze=squeeze, expand1=expand1, expand3=expand3)
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.expand1 = nn.Conv2d(squeeze, expand1, 1)
        self.expand3 = nn.Conv2d(squeeze, expand3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, e₁ + e₃, H, W)."""
        squeezed = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1(squeezed), self.expand3(squeezed)], 1))

    @staticmethod
    def count(in_channels: int, squeeze: int, expand1: int, expand3: int) -> int:
        """Returns the number of weights, without biases.

        >>> Fire.count(96, 16, 64, 64)
        11776
        """
        return in_channels * squeeze + squeeze * expand1 + 9 * squeeze * expand3


class ChannelShuffle(nn.Module):
    """Deals the channels of `groups` groups out in turns, so that the next groups see something of each.

    Channel i of group j goes to place i · groups + j. Zhang, Zhou, Lin & Sun, "ShuffleNet", CVPR 2018, section 3.1.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        _require_positive(groups=groups)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Returns x (N, C, H, W) with its channels in another order."""
        if x.shape[1] % self.groups:
            raise ModelError(f"ChannelShuffle: {x.shape[1]} channels are no multiple of {self.groups} groups")
        n, channels, *rest = x.shape
        return x.reshape(n, self.groups, channels // self.groups, *rest).transpose(1, 2).reshape(x.shape)

    def extra_repr(self) -> str:
        """Names the groups."""
        return f"groups={self.groups}"


class ShuffleUnit(nn.Module):
    """1 × 1 in groups, shuffle, 3 × 3 of each channel alone, 1 × 1 in groups: (C m + m N) / g + 9 m weights.

    The unit of ShuffleNet, section 3.2, with a ReLU after the first convolution, without normalisations and shortcut.

    Args:
        in_channels: C, a multiple of `groups`.
        out_channels: N, a multiple of `groups`.
        middle: m, channels inside, a multiple of `groups`.
        groups: g.
        stride: Of the 3 × 3 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, middle: int, groups: int, stride: int = 1) -> None:
        super().__init__()
        _require_positive(groups=groups, middle=middle)
        if in_channels % groups or out_channels % groups or middle % groups:
            raise ModelError(
                f"ShuffleUnit: {in_channels}, {middle} and {out_channels} channels; expected multiples of {groups}, "
                "the number of groups"
            )
        self.first = nn.Conv2d(in_channels, middle, 1, groups=groups)
        self.shuffle = ChannelShuffle(groups)
        self.depthwise = nn.Conv2d(middle, middle, 3, stride, padding=1, groups=middle)
        self.last = nn.Conv2d(middle, out_channels, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        out: Tensor = self.last(self.depthwise(self.shuffle(F.relu(self.first(x)))))
        return out

    @staticmethod
    def count(in_channels: int, out_channels: int, middle: int, groups: int) -> int:
        """Returns the number of weights, without biases.

        >>> ShuffleUnit.count(240, 240, middle=60, groups=3)
        10140
        """
        return (in_channels + out_channels) * middle // groups + 9 * middle


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ModelError(f"{name} is {number}; expected at least 1")
