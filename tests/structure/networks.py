"""Small networks that hold one pattern each, with the groups that must be found, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class Pattern:
    """A network, an example, and the groups that lose units: name to number of units."""

    name: str
    make: Callable[[], nn.Module]
    example: Callable[[], Any]
    groups: dict[str, int]
    sizes: dict[str, int] = field(default_factory=dict)  # some attributes after half of the units are gone


class Residual(nn.Module):
    """Two convolutions around a shortcut, with norms, and a linear layer on the flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.inner, self.outer = nn.Conv2d(8, 12, 1), nn.Conv2d(12, 8, 1)
        self.head, self.width = nn.Linear(8 * 16, 5), 8

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        x = x + self.outer(self.inner(x).relu())
        return self.head(x.view(x.shape[0], self.width * 16))


class Dense(nn.Module):
    """Concatenations of all before, a norm behind them, and a slice of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 1), nn.BatchNorm2d(10)
        self.c, self.d, self.half = nn.Conv2d(10, 8, 1), nn.Conv2d(4, 2, 1), 4

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x).relu()
        x = self.c(self.norm(torch.cat([a, self.b(a).relu()], 1)))
        return self.d(x[:, : self.half] * x[:, self.half :].sigmoid())


class Depthwise(nn.Module):
    """Pointwise, depthwise with a multiplier, grouped, group norm, pointwise."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(3, 6, 1), nn.Conv1d(6, 12, 3, padding=1, groups=6)
        self.c, self.norm, self.d = nn.Conv1d(12, 12, 1, groups=3), nn.GroupNorm(3, 12), nn.Conv1d(12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.d(self.norm(self.c(self.b(self.a(x)).relu())).relu())


class Attention(nn.Module):
    """Fused query, key and value, heads, a scale that is kept, and a residual stream with layer norms."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Linear(3, 16), nn.LayerNorm(16)
        self.qkv, self.merge, self.head = nn.Linear(16, 3 * 16), nn.Linear(16, 16), nn.Linear(16, 2)
        self.config = SimpleNamespace(heads=4)
        self.scale = 4**-0.5

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        batch, length, _ = x.shape
        parts = self.qkv(self.norm(x)).chunk(3, dim=-1)
        q, k, v = (p.view(batch, length, self.config.heads, -1).transpose(1, 2) for p in parts)
        weights = (q @ k.transpose(-1, -2) * self.scale).softmax(-1)
        return self.head(x + self.merge((weights @ v).transpose(1, 2).reshape(batch, length, -1)))


class Grouped(nn.Module):
    """Two query heads for each head of keys and values, repeated; rotary halves; a root-mean-square norm by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gain = nn.Linear(3, 16), nn.Parameter(torch.rand(16) + 0.5)
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 8)
        self.o, self.head, self.width, self.each = nn.Linear(16, 16), nn.Linear(16, 2), 4, 2

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        n = x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * self.gain
        shape = (*x.shape[:-1], -1, self.width)
        q, k, v = (layer(n).view(shape).transpose(1, 2) for layer in (self.q, self.k, self.v))
        k, v = self._repeat(k), self._repeat(v)
        out = F.scaled_dot_product_attention(self._turn(q), self._turn(k), v, scale=0.5)
        return self.head(x + self.o(out.transpose(1, 2).reshape(*x.shape[:-1], -1)))

    def _repeat(self, x: Tensor) -> Tensor:
        batch, heads, length, width = x.shape
        return (
            x[:, :, None]
            .expand(batch, heads, self.each, length, width)
            .reshape(batch, heads * self.each, length, width)
        )

    def _turn(self, x: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        return x + torch.cat([-x[..., half:], x[..., :half]], -1)


class Tied(nn.Module):
    """An embedding whose table is the head too, and a gated perceptron in one product."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.wide = nn.Embedding(11, 8), nn.Linear(8, 2 * 12)
        self.narrow, self.head = nn.Linear(12, 8), nn.Linear(8, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids)
        return self.head(x + self.narrow(F.glu(self.wide(x))))


class Recurrent(nn.Module):
    """A two-layer bidirectional LSTM, a GRU, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.gru, self.head = nn.GRU(12, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(self.lstm(x)[0])[0])


class Messages(nn.Module):
    """Message passing by gather and scatter, an einsum, and jumping knowledge."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(3, 8)), nn.Linear(8, 6)
        self.head = nn.Linear(14, 2)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        x = torch.einsum("nf,fo->no", x, self.a).relu()
        gathered = x.index_select(0, edges[0])
        index = edges[1].view(-1, 1).expand_as(gathered)
        around = torch.zeros(x.shape[0], x.shape[1]).scatter_add_(0, index, gathered)
        return self.head(torch.cat([x, self.b(around).relu()], -1))


class Nested(nn.Module):
    """Two inputs, one by keyword, and a dict of results."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 8), nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor, *, side: Tensor) -> dict[str, Any]:
        h = (self.a(x) * self.b(side)).tanh()
        return {"out": (self.c(h), h.sum(-1)), "name": "result"}


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 2))


PATTERNS = [
    Pattern(
        "perceptron",
        _mlp,
        lambda: torch.randn(4, 3),
        {"0.weight:0": 8, "2.weight:0": 6},
        {"0.out_features": 4, "2.in_features": 4, "2.out_features": 3, "3.normalized_shape.0": 3, "5.in_features": 3},
    ),
    Pattern(
        "residual",
        Residual,
        lambda: torch.randn(2, 3, 4, 4),
        {"stem.weight:0": 8, "inner.weight:0": 12},
        {"width": 4, "norm.num_features": 4, "inner.in_channels": 4, "inner.out_channels": 6, "head.in_features": 64},
    ),
    Pattern(
        "dense",
        Dense,
        lambda: torch.randn(2, 3, 4, 4),
        {"a.weight:0": 4, "b.weight:0": 6, "c.weight:0": 4},
        {"half": 2, "norm.num_features": 5, "c.in_channels": 5, "c.out_channels": 4, "d.in_channels": 2},
    ),
    Pattern(
        "depthwise",
        Depthwise,
        lambda: torch.randn(2, 3, 5),
        {"a.weight:0": 3},
        {
            "b.groups": 4,
            "b.in_channels": 4,
            "b.out_channels": 8,
            "c.groups": 2,
            "norm.num_groups": 2,
            "norm.num_channels": 8,
        },
    ),
    Pattern("attention", Attention, lambda: torch.randn(2, 5, 3), {"embed.weight:0": 16, "qkv.weight:0": 4}),
    Pattern("grouped", Grouped, lambda: torch.randn(2, 5, 3), {"gain:0": 16, "q.weight:0": 2}),
    Pattern("tied", Tied, lambda: torch.randint(11, (2, 5)), {"table.weight:1": 8, "wide.weight:0": 12}),
    Pattern(
        "recurrent",
        Recurrent,
        lambda: torch.randn(2, 4, 3),
        {"lstm.weight_ih_l0:0": 6, "gru.weight_ih_l0:0": 8},
        {"lstm.hidden_size": 3, "gru.input_size": 6, "gru.hidden_size": 4, "head.in_features": 4},
    ),
    Pattern(
        "messages",
        Messages,
        lambda: (torch.randn(6, 3), torch.randint(6, (2, 12))),
        {"a:1": 8, "b.weight:0": 6},
        {"b.in_features": 4, "b.out_features": 3, "head.in_features": 7},
    ),
    Pattern(
        "nested",
        Nested,
        lambda: {"x": torch.randn(4, 3), "side": torch.randn(4, 4)},
        {"a.weight:0": 8},
        {"c.in_features": 4},
    ),
]
