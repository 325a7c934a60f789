from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.cost import measure
from gossamer.errors import ModelError
from gossamer.nn import (
    BinaryWeights,
    CodedConv2d,
    CodedLinear,
    FewBitsInt8Weights,
    FewBitsWeights,
    Int8Weights,
    TernaryWeights,
)
from tests.nn.coded import CONVOLUTIONS, convolve, linear, normal
from tests.nn.test_quantized import rounded


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_linear_layer_rounds_its_input_to_bytes(bits, groups):
    layer, x = linear(70, 20), normal(5, 70)
    coded = CodedLinear.from_dense(
        layer, lambda weight: FewBitsInt8Weights.from_dense(weight, bits=bits, groups=groups)
    )
    same = FewBitsWeights.from_dense(layer.weight, bits=bits, groups=groups).dense()
    torch.testing.assert_close(coded.weight, same)
    expected = nn.functional.linear(rounded(x, x.abs().amax(1, keepdim=True) / 127), coded.weight, layer.bias)
    torch.testing.assert_close(coded(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("input_scale", [None, 0.02])
def test_a_convolution_rounds_its_images_to_bytes(options, bits, input_scale):
    layer = nn.Conv2d(**options)
    x = normal(2, layer.in_channels, 7, 9)
    code = {"bits": bits, "input_scale": input_scale}
    coded = CodedConv2d.from_dense(layer, lambda weight: FewBitsInt8Weights.from_dense(weight, **code))
    torch.testing.assert_close(coded.weight, FewBitsWeights.from_dense(layer.weight, bits=bits).dense())
    step = x.abs().amax((1, 2, 3), keepdim=True) / 127 if input_scale is None else input_scale
    expected = convolve(layer, rounded(x, step), coded.weight, layer.bias)
    torch.testing.assert_close(coded(x).double(), expected, rtol=1e-4, atol=1e-4)


def test_codes_around_a_zero_by_hand():
    codes = torch.tensor([[0, 8, 15]], dtype=torch.uint8)
    layer = CodedLinear(FewBitsInt8Weights(codes, torch.tensor([[0.5]]), bits=4, zero=8, input_scale=1.0))
    assert layer.weight.tolist() == [[-4.0, 0.0, 3.5]]
    assert layer(torch.tensor([1.0, 100.0, 2.0])).tolist() == [-4.0 + 7.0]


def test_what_is_wrong_is_named():
    codes, scales = torch.zeros(1, 3, dtype=torch.uint8), torch.ones(1, 1)
    for bits, zero in ((3, 0), (4, 16), (2, -1)):
        with pytest.raises(ModelError, match="expected 1, 2 or 4 bits and a zero among their codes"):
            FewBitsInt8Weights(codes, scales, bits=bits, zero=zero)
    with pytest.raises(ModelError, match=r"codes: expected values in \[0, 3\]"):
        FewBitsInt8Weights(codes + 4, scales, bits=2)
    with pytest.raises(ModelError, match="input_scale: expected a number above 0"):
        FewBitsInt8Weights(codes, scales, bits=2, input_scale=0.0)


CODES = {
    "binary": (BinaryWeights.from_dense, 64 * 128 // 8, 64),
    "ternary": (lambda weight: TernaryWeights.from_dense(weight, threshold=0.1), 2 * 64 * 128 // 8, 64),
    "int8": (Int8Weights.from_dense, 64 * 128, 64),
    "two bits": (lambda weight: FewBitsWeights.from_dense(weight, bits=2, groups=2), 64 * 128 // 4, 2 * 2 * 64 + 4),
    "four bits": (lambda weight: FewBitsInt8Weights.from_dense(weight, bits=4), 64 * 128 // 2, 2 * 64 + 16),
}


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("convolution", [False, True])
def test_cost_counts_every_weight_and_stores_its_bits(name, convolution):
    code, code_bytes, floats = CODES[name]
    if convolution:
        layer, x = CodedConv2d.from_dense(nn.Conv2d(32, 64, 2), code), normal(3, 32, 4, 5)
        places = 3 * 3 * 4
    else:
        layer, x, places = CodedLinear.from_dense(nn.Linear(128, 64), code), normal(3, 128), 3
    cost = measure(layer, (x,), latency=False)
    assert cost.parameters == 64 * 128 + 64
    assert cost.nonzeros == int(torch.count_nonzero(layer.weight)) + 64
    assert cost.bytes == code_bytes + 4 * (floats + 64)
    assert cost.macs == places * 64 * 128
