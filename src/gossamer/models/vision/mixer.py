"""MLP-Mixer: patches of an image, mixed by perceptrons along places and along channels in turn.

Tolstikhin et al., "MLP-Mixer: An all-MLP Architecture for Vision", NeurIPS 2021, at a size for small images. As
there, the perceptron along places is half as wide as a token, the one along channels four times.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError


class Mixer(nn.Module):
    """Linear layers alone, but for the embedding of the patches.

    Args:
        in_channels: Channels of the image.
        classes: Width of the output.
        image_size: Height and width of the image; a multiple of `patch`.
        patch: Height and width of a patch in pixels.
        hidden: Width of a token, at least 2.
        depth: Number of blocks.

    Raises:
        ModelError: Patches do not tile the image.
    """

    def __init__(
        self, in_channels: int, classes: int, *, image_size: int = 32, patch: int = 4, hidden: int = 64, depth: int = 4
    ) -> None:
        super().__init__()
        if image_size % patch:
            raise ModelError(f"Mixer: image_size is {image_size}; expected a multiple of the patch size {patch}")
        self.patch = nn.Conv2d(in_channels, hidden, patch, stride=patch)
        self.blocks = nn.Sequential(*(MixerBlock((image_size // patch) ** 2, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(hidden)
        self.linear = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (B, in_channels, image_size, image_size) to (B, classes)."""
        tokens = self.patch(x).flatten(2).transpose(1, 2)  # (B, T, hidden)
        out: Tensor = self.linear(self.norm(self.blocks(tokens)).mean(1))
        return out


class MixerBlock(nn.Module):
    """A perceptron along the tokens and one along the channels, each after a norm and beside a shortcut."""

    def __init__(self, tokens: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(hidden)
        self.gather = nn.Linear(tokens, hidden // 2)
        self.spread = nn.Linear(hidden // 2, tokens)
        self.norm2 = nn.LayerNorm(hidden)
        self.widen = nn.Linear(hidden, 4 * hidden)
        self.narrow = nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (B, T, hidden) to (B, T, hidden)."""
        places = self.norm1(x).transpose(1, 2)
        x = x + self.spread(F.gelu(self.gather(places))).transpose(1, 2)
        out: Tensor = x + self.narrow(F.gelu(self.widen(self.norm2(x))))
        return out
