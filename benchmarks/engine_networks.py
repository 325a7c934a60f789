"""The networks that `benchmarks.engine` times, with weights as training and pruning leave them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.models import build


class Inverted(nn.Module):
    """MobileNetV2's block: wider by a 1x1 convolution, filtered channel by channel, narrower again."""

    def __init__(self, narrow: int, out: int, stride: int, factor: int) -> None:
        super().__init__()
        wide = narrow * factor
        layers: list[nn.Module] = []
        if factor > 1:
            layers += [nn.Conv2d(narrow, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        layers += [nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        self.residual = stride == 1 and narrow == out

    def forward(self, x: Tensor) -> Tensor:
        """Maps images to images."""
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNet(nn.Module):
    """MobileNetV2 at its full width, for images of 96 x 96."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        stages = [
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ]
        layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
        narrow = 32
        for factor, out, count, stride in stages:
            for i in range(count):
                layers.append(Inverted(narrow, out, stride if i == 0 else 1, factor))
                narrow = out
        self.layers = nn.Sequential(*layers, nn.Conv2d(narrow, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6())
        self.last = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images to one score a class."""
        return self.last(self.layers(x).mean((2, 3)))


class Encoder(nn.Module):
    """BERT's layer: attention and a network for each token, each with a norm behind its residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.mix = (nn.Linear(width, width) for _ in range(4))
        self.wider, self.narrower = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (B, T, width) to as many."""
        q, k, v = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = self.first(x + self.mix(seen))
        return self.second(x + self.narrower(F.gelu(self.wider(x))))


class Bert(nn.Module):
    """A BERT of 4 layers of width 256 (the size known as mini), for 128 tokens."""

    def __init__(
        self, tokens: int = 30522, width: int = 256, heads: int = 4, layers: int = 4, length: int = 128
    ) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(tokens, width), nn.Parameter(torch.randn(length, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(*(Encoder(width, heads) for _ in range(layers)))
        self.pool, self.last = nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps the numbers of tokens (B, T) to two scores."""
        hidden = self.layers(self.norm(self.tokens(tokens) + self.places))
        return self.last(self.pool(hidden[:, 0]).tanh())


def network(name: str) -> nn.Module:
    """Returns a network by name, with norms that do something."""
    torch.manual_seed(0)
    made: nn.Module
    if name in ("mobilenetv2", "bert"):
        made = MobileNet() if name == "mobilenetv2" else Bert()
    else:
        made = build(name, in_channels=3, classes=10, **({"image_size": 32} if name == "vit" else {}))
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    return made.eval()


def example(name: str, batch: int) -> Tensor:
    """Returns inputs for a network."""
    torch.manual_seed(1)
    if name == "bert":
        return torch.randint(30522, (batch, 128))
    size = 96 if name == "mobilenetv2" else 32
    return torch.randn(batch, 3, size, size)


@torch.no_grad()
def prune(made: nn.Module, zeros: float, height: int) -> nn.Module:
    """Sets the smallest columns of `height` neighbouring outputs of each layer to zero; of all but the first and last.

    Args:
        made: Changed in place.
        zeros: Fraction of each layer.
        height: 16 for SIMD blocks, 1 for single weights.
    """
    layers = [module for module in made.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers[1:-1]:
        matrix = layer.weight.data.flatten(1)
        padded = F.pad(matrix, (0, 0, 0, -len(matrix) % height)).unflatten(0, (-1, height))
        scores = padded.abs().sum(1)
        bound = scores.flatten().kthvalue(max(round(zeros * scores.numel()), 1)).values
        keep = (scores > bound)[:, None].expand_as(padded).flatten(0, 1)[: len(matrix)]
        matrix *= keep
    return made
