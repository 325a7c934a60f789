from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn import BinaryWeights, CodedConv2d, CodedLinear, FewBitsWeights, Int8Weights, Steps, TernaryWeights
from tests.nn.coded import CONVOLUTIONS, linear, normal

CODES = {
    "binary": BinaryWeights.from_dense,
    "binary without means": lambda weight: BinaryWeights.from_dense(weight, mean=False),
    "ternary": lambda weight: TernaryWeights.from_dense(weight, threshold=0.5),
    "int8": Int8Weights.from_dense,
    "int8, fixed": lambda weight: Int8Weights.from_dense(weight, input_scale=0.02),
    "few bits": FewBitsWeights.from_dense,
}
each_code = pytest.mark.parametrize("code", CODES.values(), ids=CODES.keys())


@each_code
def test_a_state_dict_brings_a_layer_back(code):
    for layer, kind in ((linear(70, 20), CodedLinear), (nn.Conv2d(3, 20, 3, padding=1), CodedConv2d)):
        coded = kind.from_dense(layer, code)
        fresh = nn.Linear(70, 20) if kind is CodedLinear else nn.Conv2d(3, 20, 3, padding=1)
        other = kind.from_dense(fresh, code)
        other.load_state_dict(coded.state_dict())
        x = normal(2, 70) if kind is CodedLinear else normal(2, 3, 6, 6)
        assert torch.equal(other(x), coded(x))
        assert torch.equal(other.weight, coded.weight)


@each_code
def test_coding_what_the_codes_stand_for_changes_nothing(code):
    for layer, kind in ((linear(70, 20), CodedLinear), (nn.Conv2d(5, 20, 3), CodedConv2d)):
        coded = kind.from_dense(layer, code)
        assert coded.weight.shape == layer.weight.shape
        with torch.no_grad():
            layer.weight.copy_(coded.weight)
        torch.testing.assert_close(kind.from_dense(layer, code).weight, coded.weight, rtol=1e-4, atol=1e-6)


@each_code
def test_nan_reaches_the_results_that_it_would_reach(code):
    x = normal(3, 70)
    x[1, 69] = torch.nan
    out = CodedLinear.from_dense(linear(70, 20), code)(x)
    assert out.isnan().all(1).tolist() == [False, True, False]
    assert not out[[0, 2]].isnan().any()
    layer, images = nn.Conv2d(5, 4, 3, padding=1), normal(2, 5, 8, 8)
    images[0, 2, 0, 7] = torch.nan
    out, expected = CodedConv2d.from_dense(layer, code)(images), layer(images)
    assert bool(out.isnan()[expected.isnan()].all())
    assert not out[1].isnan().any()


@each_code
def test_leading_dimensions_are_kept(code):
    coded = CodedLinear.from_dense(linear(70, 20), code)
    x = normal(2, 3, 70)
    assert coded(x).shape == (2, 3, 20)
    torch.testing.assert_close(coded(x)[1, 2], coded(x[1, 2]), rtol=1e-4, atol=1e-4)
    coded = CodedConv2d.from_dense(nn.Conv2d(3, 20, 3), code)
    x = normal(2, 3, 6, 6)
    torch.testing.assert_close(coded(x)[1], coded(x[1]), rtol=1e-4, atol=1e-4)
    assert coded(x[:0]).shape == (0, 20, 4, 4)


@each_code
@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_a_convolution_has_the_shape_of_the_dense_one(code, options):
    layer = nn.Conv2d(**options)
    x = normal(2, layer.in_channels, 7, 9)
    coded = CodedConv2d.from_dense(layer, code)
    assert coded(x).shape == layer(x).shape
    torch.testing.assert_close(coded(x.to(memory_format=torch.channels_last)), coded(x), rtol=1e-4, atol=1e-4)


def test_what_is_wrong_is_named():
    weights, images = BinaryWeights.from_dense(normal(4, 6)), BinaryWeights.from_dense(normal(4, 6, 3, 3))
    scale, signs = torch.ones(4), torch.ones(4, 6, dtype=torch.int8)
    for call, message in (
        (lambda: CodedLinear(images), r"CodedLinear: expected weights \(outputs, inputs\)"),
        (lambda: CodedConv2d(weights), r"CodedConv2d: expected weights \(outputs, inputs, kh, kw\)"),
        (lambda: CodedLinear(weights)(normal(2, 5)), r"linear layer: input is \(2, 5\), expected \(..., 6\)"),
        (lambda: CodedConv2d(images)(normal(2, 5, 4, 4)), r"convolution: expected \(N, 6, H, W\)"),
        (lambda: CodedConv2d(images)(normal(2, 6, 2, 4)), r"an image of \(2, 4\) is smaller than the kernel's reach"),
        (lambda: CodedLinear.from_dense(nn.ReLU(), BinaryWeights.from_dense), "expected a linear layer"),
        (lambda: CodedConv2d.from_dense(nn.ReLU(), BinaryWeights.from_dense), "expected a Conv2d, found ReLU"),
        (lambda: CodedConv2d.from_dense(nn.Conv2d(4, 4, 1, groups=2), BinaryWeights.from_dense), "groups=2"),
        (lambda: BinaryWeights(signs.float(), scale), "codes: expected torch.int8"),
        (lambda: BinaryWeights(signs * 2, scale), r"codes: expected values in \[-1, 1\], found 2 to 2"),
        (lambda: BinaryWeights(signs * 0, scale), "signs: expected -1 or 1, found 0"),
        (lambda: BinaryWeights(signs, torch.ones(3)), r"scale: expected float32 of shape \(4,\)"),
        (lambda: TernaryWeights(signs, scale, threshold=-1.0), "threshold: expected at least 0, found -1.0"),
        (lambda: Int8Weights(signs, scale, input_scale=0.0), "input_scale: expected a number above 0"),
        (lambda: FewBitsWeights.from_dense(normal(4, 64), bits=3), "bits: expected 1, 2 or 4, found 3"),
        (lambda: FewBitsWeights.from_dense(normal(4, 64), groups=0), "expected at least 1 input and 1 group"),
    ):
        with pytest.raises(ModelError, match=message):
            call()


def test_steps_by_hand():
    signs = torch.ones(1, 1, 1, 2, dtype=torch.int8)
    weights = BinaryWeights(signs, torch.ones(1), mean=False)
    layer = CodedConv2d(weights, steps=Steps((1, 2), stride=(1, 2), padding=(0, 1)))
    image = torch.tensor([[[[1.0, -1.0, -1.0]]]])  # pairs: outside and 1, then -1 and -1
    assert layer(image).tolist() == [[[[1.0, -2.0]]]]
    assert "stride=(1, 2)" in repr(layer)
    with pytest.raises(ModelError, match=r"expected steps of the weights' kernel \(1, 2\), found Steps"):
        CodedConv2d(weights, steps=Steps((3, 3)))
