from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.masks import Masks
from gossamer.prune.weights import prunable_weights


def test_shares_are_those_of_the_multiply_accumulates() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    masks = Masks(prunable_weights(model))
    share = ForwardShare.count(model, (torch.ones(1, 3, 8, 8),), masks)
    convolution, linear = 36 * 8 * 27, 8 * 36 * 10
    total = convolution + linear
    assert share.shares == pytest.approx({"0.weight": convolution / total, "3.weight": linear / total})
    assert share.of(masks) == 1.0

    keep = torch.zeros(8, 27, dtype=torch.bool)
    keep[:, :9] = True
    masks.replace({"0.weight": keep})
    assert share.of(masks) == pytest.approx((convolution / 3 + linear) / total)


def test_work_without_a_prunable_weight_stays_in_full() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4, bias=False)
            self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x @ x.mT @ self.linear(x)
            return y + self.attention(x, x, x)[0]

    model = Mixed().eval()
    masks = Masks(prunable_weights(model))
    share = ForwardShare.count(model, (torch.ones(1, 5, 4),), masks)
    masks.replace({w.name: torch.zeros(w.rows, w.columns, dtype=torch.bool) for w in masks.weights})
    assert 0.5 < share.of(masks) < 1.0
    assert share.of(masks) == pytest.approx(1.0 - share.shares["linear.weight"])
