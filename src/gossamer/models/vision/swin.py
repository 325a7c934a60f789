"""A small Swin transformer: attention within windows that are shifted in every second block.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, section 3, with two
stages at a size for small images: between them four neighbouring tokens become one of twice the width. Ours: the
window of a stage is the largest divisor of its grid up to `window`, so that nothing is padded, and where one window
is the whole grid nothing is shifted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError


class Swin(nn.Module):
    """Two stages of window attention.

    Args:
        in_channels: Channels of the image.
        classes: Width of the output.
        image_size: Height and width of the image; a multiple of 2 · `patch`.
        patch: Height and width of a patch in pixels.
        hidden: Width of a token in the first stage; a multiple of `heads`.
        depth: Blocks in each stage; every second one shifts its windows.
        heads: Attention heads of a block in the first stage; the second has twice as many.
        window: Height and width of a window in tokens at most.

    Raises:
        ModelError: Patches do not tile the image in pairs, or heads do not divide the width.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        image_size: int = 32,
        patch: int = 2,
        hidden: int = 32,
        depth: int = 2,
        heads: int = 2,
        window: int = 8,
    ) -> None:
        super().__init__()
        if image_size % (2 * patch):
            raise ModelError(f"Swin: image_size is {image_size}; expected a multiple of {2 * patch}, two patches")
        if hidden % heads:
            raise ModelError(f"Swin: hidden is {hidden}; expected a multiple of the {heads} heads")
        grid = image_size // patch
        self.patch = nn.Conv2d(in_channels, hidden, patch, stride=patch)
        self.first = nn.Sequential(*(SwinBlock(grid, hidden, heads, window, shifted=i % 2 == 1) for i in range(depth)))
        self.norm = nn.LayerNorm(4 * hidden)
        self.merge = nn.Linear(4 * hidden, 2 * hidden, bias=False)
        self.second = nn.Sequential(
            *(SwinBlock(grid // 2, 2 * hidden, 2 * heads, window, shifted=i % 2 == 1) for i in range(depth))
        )
        self.last_norm = nn.LayerNorm(2 * hidden)
        self.linear = nn.Linear(2 * hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (B, in_channels, image_size, image_size) to (B, classes)."""
        x = self.first(self.patch(x).permute(0, 2, 3, 1))  # (B, grid, grid, hidden)
        x = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], dim=-1)
        x = self.last_norm(self.second(self.merge(self.norm(x))))
        out: Tensor = self.linear(x.mean((1, 2)))
        return out


class SwinBlock(nn.Module):
    """Attention within windows and a perceptron of four times the width, each after a norm and beside a shortcut."""

    places: Tensor
    apart: Tensor

    def __init__(self, grid: int, hidden: int, heads: int, window: int, *, shifted: bool) -> None:
        super().__init__()
        self.grid, self.heads = grid, heads
        self.window = max(size for size in range(1, min(window, grid) + 1) if grid % size == 0)
        self.shift = self.window // 2 if shifted and self.window < grid else 0
        self.norm1 = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, 3 * hidden)
        self.merge = nn.Linear(hidden, hidden)
        self.bias = nn.Parameter(0.02 * torch.randn((2 * self.window - 1) ** 2, heads))
        self.norm2 = nn.LayerNorm(hidden)
        self.widen = nn.Linear(hidden, 4 * hidden)
        self.narrow = nn.Linear(4 * hidden, hidden)
        self.register_buffer("places", _relative_places(self.window), persistent=False)
        self.register_buffer("apart", _apart(grid, self.window, self.shift), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (B, grid, grid, hidden) to (B, grid, grid, hidden)."""
        x = x + self._attend(self.norm1(x))
        out: Tensor = x + self.narrow(F.gelu(self.widen(self.norm2(x))))
        return out

    def _attend(self, x: Tensor) -> Tensor:
        batch, grid, _, hidden = x.shape
        count, size = grid // self.window, self.window**2
        windows = _windows(x.roll((-self.shift, -self.shift), (1, 2)), self.window)  # (B, W, size, hidden)
        parts = self.project(windows).view(batch, count**2, size, 3, self.heads, hidden // self.heads)
        # Heads of all windows stand in one dimension, as exporters expect.
        query, key, value = parts.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)  # (B, W heads, size, hidden / heads) each
        mask = self.bias[self.places].permute(2, 0, 1).masked_fill(self.apart[:, None], -torch.inf)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask.flatten(0, 1))
        attended = attended.view(batch, count**2, self.heads, size, hidden // self.heads)
        merged = self.merge(attended.transpose(2, 3).reshape(batch, count**2, size, hidden))
        rows = merged.view(batch, count, count, self.window, self.window, hidden).transpose(2, 3)
        out: Tensor = rows.reshape(batch, grid, grid, hidden).roll((self.shift, self.shift), (1, 2))
        return out


def _windows(x: Tensor, window: int) -> Tensor:
    """Cuts (B, grid, grid, F) into windows, (B, W, window², F)."""
    batch, grid, _, features = x.shape
    count = grid // window
    cut = x.view(batch, count, window, count, window, features).transpose(2, 3)
    return cut.reshape(batch, count**2, window**2, features)


def _relative_places(window: int) -> Tensor:
    """Returns the row of the bias table for each pair of tokens of a window, (window², window²) int64."""
    row, column = torch.arange(window**2).div(window, rounding_mode="floor"), torch.arange(window**2) % window
    down = row[:, None] - row[None, :] + window - 1
    right = column[:, None] - column[None, :] + window - 1
    return down * (2 * window - 1) + right


def _apart(grid: int, window: int, shift: int) -> Tensor:
    """Returns which pairs of a shifted window were not neighbours in the image, (W, window², window²) bool."""
    place = torch.arange(grid)
    region = (place >= grid - window).long() + (place >= grid - shift).long() if shift else torch.zeros_like(place)
    regions = _windows((3 * region[:, None] + region[None, :])[None, :, :, None], window)[0, :, :, 0]
    return regions[:, :, None] != regions[:, None, :]
