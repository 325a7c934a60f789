from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.nn import BinaryWeights, CodedConv2d, CodedLinear
from tests.nn.coded import CONVOLUTIONS, convolve, linear, normal


def signs_of(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -1.0, 1.0)


@pytest.mark.parametrize("mean", [True, False])
def test_linear_is_the_product_of_scaled_signs(mean):
    layer, x = linear(70, 20), normal(5, 70)
    scaled = signs_of(x) * (x.abs().mean(1, keepdim=True) if mean else 1.0)
    weight = signs_of(layer.weight) * layer.weight.abs().mean(1, keepdim=True)
    coded = CodedLinear.from_dense(layer, lambda w: BinaryWeights.from_dense(w, mean=mean))
    torch.testing.assert_close(coded.weight, weight)
    torch.testing.assert_close(coded(x), nn.functional.linear(scaled, weight, layer.bias), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("mean", [True, False])
def test_convolution_is_that_of_signs_times_the_mean_of_each_patch(options, mean):
    layer = nn.Conv2d(**options)
    x = normal(2, layer.in_channels, 7, 9)
    weight = signs_of(layer.weight) * layer.weight.abs().mean((1, 2, 3), keepdim=True)
    expected = convolve(layer, signs_of(x), weight, None)
    if mean:
        box = torch.full((1, 1, *layer.kernel_size), 1.0 / (layer.kernel_size[0] * layer.kernel_size[1]))
        expected = expected * convolve(layer, x.abs().mean(1, keepdim=True), box, None)
    if layer.bias is not None:
        expected = expected + layer.bias[:, None, None]
    coded = CodedConv2d.from_dense(layer, lambda w: BinaryWeights.from_dense(w, mean=mean))
    torch.testing.assert_close(coded(x).double(), expected, rtol=1e-4, atol=1e-4)


def test_given_signs_and_scales_are_kept():
    signs = torch.tensor([[1, -1, 1]], dtype=torch.int8)
    layer = CodedLinear(BinaryWeights(signs, torch.tensor([3.0]), mean=False), torch.tensor([0.5]))
    assert layer.weight.tolist() == [[3.0, -3.0, 3.0]]
    assert layer(torch.tensor([5.0, 5.0, -5.0])).tolist() == [-2.5]
