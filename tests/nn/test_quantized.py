from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gossamer.nn import CodedConv2d, CodedLinear, FewBitsWeights, Int8Weights
from tests.nn.coded import CONVOLUTIONS, convolve, linear, normal


def rounded(x: Tensor, step: Tensor | float) -> Tensor:
    """Returns x in whole steps, at most 127 of them."""
    return (x / step).round().clamp(-127, 127) * step


def test_int8_linear_rounds_each_example():
    layer, x = linear(70, 20), normal(5, 70)
    coded = CodedLinear.from_dense(layer, Int8Weights.from_dense)
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    torch.testing.assert_close(coded.weight, rounded(layer.weight.detach(), step), rtol=1e-5, atol=1e-5)
    expected = nn.functional.linear(rounded(x, x.abs().amax(1, keepdim=True) / 127), coded.weight, layer.bias)
    torch.testing.assert_close(coded(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("input_scale", [None, 0.02])
def test_int8_convolution_rounds_each_image(options, input_scale):
    layer = nn.Conv2d(**options)
    x = normal(2, layer.in_channels, 7, 9)
    coded = CodedConv2d.from_dense(layer, lambda weight: Int8Weights.from_dense(weight, input_scale=input_scale))
    step = x.abs().amax((1, 2, 3), keepdim=True) / 127 if input_scale is None else input_scale
    expected = convolve(layer, rounded(x, step), coded.weight, layer.bias)
    torch.testing.assert_close(coded(x).double(), expected, rtol=1e-4, atol=1e-4)


def test_an_image_of_zeros_gives_the_bias():
    layer = nn.Conv2d(3, 5, 3)
    out = CodedConv2d.from_dense(layer, Int8Weights.from_dense)(torch.zeros(1, 3, 4, 4))
    assert torch.equal(out, layer.bias.detach()[None, :, None, None].expand(1, 5, 2, 2))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("groups", [1, 3])
def test_few_bits_are_within_half_a_step(bits, groups):
    weight = normal(20, 70)
    dense = FewBitsWeights.from_dense(weight, bits=bits, groups=groups).dense()
    for part, found in zip(
        weight.split(70 if groups == 1 else 32, 1), dense.split(70 if groups == 1 else 32, 1), strict=True
    ):
        step = (part.amax(1) - part.amin(1)) / (2**bits - 1)
        assert bool(((part - found).abs().amax(1) <= 0.5001 * step).all())


def test_constant_groups_are_exact():
    weight = torch.full((3, 40), 0.7)
    torch.testing.assert_close(FewBitsWeights.from_dense(weight).dense(), weight)


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("bits", [1, 4])
def test_few_bits_meet_floats(options, bits):
    layer = nn.Conv2d(**options)
    x = normal(2, layer.in_channels, 7, 9)
    coded = CodedConv2d.from_dense(layer, lambda weight: FewBitsWeights.from_dense(weight, bits=bits))
    expected = convolve(layer, x, coded.weight, layer.bias)
    torch.testing.assert_close(coded(x).double(), expected, rtol=1e-4, atol=1e-4)


def test_the_first_layer_of_a_binary_network():
    codes = torch.tensor([[0, 1, 1]], dtype=torch.uint8)
    layer = CodedLinear(FewBitsWeights(codes, torch.tensor([[2.0]]), torch.tensor([1.0, -1.0])))
    assert layer.weight.tolist() == [[2.0, -2.0, -2.0]]
    assert layer(torch.tensor([0.5, 1.0, 0.25])).tolist() == [-1.5]


def test_given_bytes_and_scales_are_kept():
    codes = torch.tensor([[100, -128, 0]], dtype=torch.int8)
    layer = CodedLinear(Int8Weights(codes, torch.tensor([0.5]), input_scale=2.0))
    assert layer.weight.tolist() == [[50.0, -64.0, 0.0]]
    assert layer(torch.tensor([4.0, 2.0, 1000.0])).tolist() == [200.0 - 128.0]
