from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gossamer.nn import CodedConv2d, CodedLinear, TernaryWeights
from tests.nn.coded import CONVOLUTIONS, convolve, linear, normal


def code(weight: Tensor) -> TernaryWeights:
    return TernaryWeights.from_dense(weight, threshold=0.5)


def ternary(x: Tensor) -> Tensor:
    return x.sign() * (x.abs() > 0.5)


def test_weights_by_hand():
    weights = TernaryWeights.from_dense(torch.tensor([[3.0, -1.0, -2.0, 0.0], [0.0] * 4]), threshold=0.0)
    assert weights.dense().tolist() == [[2.5, 0.0, -2.5, 0.0], [0.0] * 4]  # the mean is 1.5, 0.7 of it 1.05


def test_linear_is_the_product_with_the_ternary_input():
    layer, x = linear(70, 20), normal(5, 70)
    coded = CodedLinear.from_dense(layer, code)
    expected = nn.functional.linear(ternary(x), coded.weight, layer.bias)
    torch.testing.assert_close(coded(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_convolution_is_that_of_the_ternary_input(options):
    layer = nn.Conv2d(**options)
    x = normal(2, layer.in_channels, 7, 9)
    coded = CodedConv2d.from_dense(layer, code)
    expected = convolve(layer, ternary(x), coded.weight, layer.bias)
    torch.testing.assert_close(coded(x).double(), expected, rtol=1e-4, atol=1e-4)


def test_given_codes_and_scales_are_kept():
    codes = torch.tensor([[1, -1, 0]], dtype=torch.int8)
    layer = CodedLinear(TernaryWeights(codes, torch.tensor([3.0]), threshold=1.0), torch.tensor([0.5]))
    assert layer.weight.tolist() == [[3.0, -3.0, 0.0]]
    assert layer(torch.tensor([5.0, 1.0, -5.0])).tolist() == [3.5]
