"""Condition numbers of matrices whose singular values are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gossamer.prune.spectra import spectra, summary
from gossamer.prune.weights import prunable_weights


def holding(*matrices: torch.Tensor) -> nn.Sequential:
    layers = []
    for matrix in matrices:
        layer = nn.Linear(matrix.shape[1], matrix.shape[0])
        layer.weight.data.copy_(matrix)
        layers.append(layer)
    return nn.Sequential(*layers)


def test_of_a_rotated_diagonal() -> None:
    turn, _ = torch.linalg.qr(torch.randn(4, 4))
    (found,) = spectra(prunable_weights(holding(turn @ torch.diag(torch.tensor([8.0, 4.0, 2.0, 1.0])))))
    assert (found.norm, found.condition, found.nonzero_condition) == pytest.approx((8.0, 8.0, 8.0), rel=1e-4)


def test_an_empty_row_is_infinite_and_counted_apart() -> None:
    (found,) = spectra(prunable_weights(holding(torch.diag(torch.tensor([6.0, 3.0, 0.0])))))
    assert found.condition == math.inf
    assert found.nonzero_condition == pytest.approx(2.0)
    assert found.to_json()["condition"] is None
    (empty,) = spectra(prunable_weights(holding(torch.zeros(2, 3))))
    assert (empty.condition, empty.nonzero_condition, empty.norm) == (math.inf, 1.0, 0.0)


def test_summary_has_medians_and_the_product_of_norms() -> None:
    found = summary(spectra(prunable_weights(holding(2.0 * torch.eye(2), torch.diag(torch.tensor([3.0, 1.0]))))))
    assert found["median_condition"] == pytest.approx(2.0)
    assert found["lipschitz_bound"] == pytest.approx(6.0)
    assert [layer["name"] for layer in found["layers"]] == ["0.weight", "1.weight"]


def test_a_convolution_stretches_at_most_by_its_bound() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False)).requires_grad_(False)
    (found,) = spectra(prunable_weights(model))
    assert found.norm == pytest.approx(float(torch.linalg.matrix_norm(model[0].weight.flatten(1), 2)))
    x = torch.randn(1, 3, 12, 12)
    for _ in range(50):  # the direction in which it stretches most
        x = torch.autograd.functional.vjp(model, x, model(x).detach())[1]
        x = x / x.norm()
    stretched = float(model(x).norm())
    assert 0.5 * found.stretch < stretched <= found.stretch
