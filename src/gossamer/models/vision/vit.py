"""A small vision transformer in which every product is a plain linear layer or the attention operator.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
at a size for small images. Patches are averaged before the classifier instead of read from a class token, as
in Beyer, Zhai & Kolesnikov, "Better plain ViT baselines for ImageNet-1k", 2022; position embeddings are
learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError


class ViT(nn.Module):
    """A transformer over the patches of an image.

    Args:
        in_channels: Channels of the image.
        classes: Width of the output.
        image_size: Height and width of the image; a multiple of `patch`.
        patch: Height and width of a patch in pixels.
        hidden: Width of a token; a multiple of `heads`.
        depth: Number of transformer blocks.
        heads: Attention heads of each block.
        dropout: Probability of dropping an element of a block's output while training.

    Raises:
        ModelError: Patches do not tile the image, or heads do not divide the width.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        image_size: int = 32,
        patch: int = 4,
        hidden: int = 64,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if image_size % patch:
            raise ModelError(f"ViT: image_size is {image_size}; expected a multiple of the patch size {patch}")
        if hidden % heads:
            raise ModelError(f"ViT: hidden is {hidden}; expected a multiple of the {heads} heads")
        self.patch = nn.Conv2d(in_channels, hidden, patch, stride=patch)
        self.position = nn.Parameter(0.02 * torch.randn((image_size // patch) ** 2, hidden))
        self.blocks = nn.Sequential(*(Block(hidden, heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(hidden)
        self.linear = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (B, in_channels, image_size, image_size) to (B, classes)."""
        tokens = self.patch(x).flatten(2).transpose(1, 2) + self.position  # (B, T, hidden)
        out: Tensor = self.linear(self.norm(self.blocks(tokens)).mean(1))
        return out


class Block(nn.Module):
    """Self-attention and a perceptron of four times the width, each after a norm and beside a shortcut."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, 3 * hidden)
        self.merge = nn.Linear(hidden, hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.widen = nn.Linear(hidden, 4 * hidden)
        self.narrow = nn.Linear(4 * hidden, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (B, T, hidden) to (B, T, hidden)."""
        batch, tokens, hidden = x.shape
        parts = self.project(self.norm1(x)).view(batch, tokens, 3, self.heads, hidden // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, T, hidden / heads) each
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, tokens, hidden)
        x = x + self.dropout(self.merge(attended))
        out: Tensor = x + self.dropout(self.narrow(F.gelu(self.widen(self.norm2(x)))))
        return out
