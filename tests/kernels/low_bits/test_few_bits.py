from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels.low_bits import (
    FewBits,
    few_bits_int8_linear,
    few_bits_int8_linear_reference,
    few_bits_linear,
    few_bits_linear_reference,
    pack_bytes,
    pack_few_bits,
    unpack_few_bits,
)
from gossamer.kernels.low_bits.few_bits import FEW_BITS_INT8_LINEAR, FEW_BITS_LINEAR
from tests.kernels.low_bits.cases import COLUMNS, ROWS, columns, integers, normal, outputs, rows, seeds

all_bits = pytest.mark.parametrize("bits", [1, 2, 4])
CLOSE = {"rtol": 1e-5, "atol": 1e-3}


def parts(bits: int, height: int, width: int, groups: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns codes, scales, levels and offsets."""
    codes = integers(0, 2**bits - 1, height, width, seed=seed).to(torch.uint8)
    return codes, normal(height, groups, seed=1), normal(1 << bits, seed=2), normal(height, groups, seed=3)


def by_hand(codes: Tensor, scales: Tensor, levels: Tensor, offsets: Tensor | None, group: int) -> Tensor:
    """Returns the dense matrix in float64, number by number."""
    dense = torch.zeros(codes.shape, dtype=torch.float64)
    for row in range(codes.shape[0]):
        for column in range(codes.shape[1]):
            g = column // group
            value = float(levels[int(codes[row, column])]) * float(scales[row, g])
            dense[row, column] = value + (0.0 if offsets is None else float(offsets[row, g]))
    return dense


def uniform(weight: FewBits, zero: int) -> FewBits:
    return weight._replace(levels=torch.arange(1 << weight.bits).float() - zero)


def test_worked_example():
    codes = torch.tensor([[0, 1, 2, 3], [3, 3, 0, 0]], dtype=torch.uint8)
    levels = torch.tensor([0.0, 1.0, 0.0, -1.0])  # ternary
    weight = pack_few_bits(codes, torch.tensor([[2.0], [10.0]]), levels)
    assert unpack_few_bits(weight).tolist() == [[0.0, 2.0, 0.0, -2.0], [-10.0, -10.0, 0.0, 0.0]]
    out = few_bits_linear(torch.tensor([[1.0, 2.0, 3.0, 5.0]]), weight, torch.tensor([0.5, 0.0]))
    assert out.tolist() == [[-5.5, -30.0]]


def test_groups_have_their_own_scales_and_offsets():
    codes, scales, levels, offsets = parts(2, 3, 80, 3)
    weight = pack_few_bits(codes, scales, levels, offsets=offsets)
    assert weight.group == 32
    torch.testing.assert_close(unpack_few_bits(weight).double(), by_hand(codes, scales, levels, offsets, 32))


@given(st.sampled_from([1, 2, 4]), st.tuples(rows, columns, outputs), st.booleans(), seeds)
def test_native_and_reference_are_the_definition(bits, shape, with_offsets, seed):
    height, width, count = shape
    groups = {100: 4, 128: 2, 993: 8}.get(width, 1)
    codes, scales, levels, offsets = parts(bits, count, width, groups, seed)
    weight = pack_few_bits(codes, scales, levels, offsets=offsets if with_offsets else None)
    dense = unpack_few_bits(weight).double()
    x, bias = normal(height, width, seed=seed), normal(count, seed=5)
    expected = x.double() @ dense.T + bias
    arguments = (weight.panels, weight.scales, weight.offsets)
    torch.testing.assert_close(few_bits_linear(x, weight, bias).double(), expected, **CLOSE)
    out = few_bits_linear_reference(x, *arguments, levels, weight.group, count, bias)
    torch.testing.assert_close(out.double(), expected, **CLOSE)

    zero = 2**bits // 2
    weight = uniform(weight, zero)
    x, x_scale = integers(-128, 127, height, width, seed=seed), normal(height, seed=6) / 64
    expected = x_scale[:, None] * (x.double() @ unpack_few_bits(weight).double().T) + bias
    out = few_bits_int8_linear(pack_bytes(x), weight, zero=zero, x_scale=x_scale, bias=bias)
    close = {"rtol": 1e-5, "atol": 1e-5 * 128 * (1 + width)}
    torch.testing.assert_close(out.double(), expected, **close)
    sizes = (bits, zero, weight.group, width, count)
    out = few_bits_int8_linear_reference(pack_bytes(x), *arguments, *sizes, x_scale, bias)
    torch.testing.assert_close(out.double(), expected, **close)


@all_bits
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("height", ROWS)
def test_every_number_of_rows_on_every_instruction_set(bits, height):
    weight = pack_few_bits(*parts(bits, 33, 70, 3)[:3], offsets=normal(33, 3, seed=8))
    x = normal(height, 70, seed=4)
    expected = x.double() @ unpack_few_bits(weight).double().T
    torch.testing.assert_close(few_bits_linear(x, weight).double(), expected, **CLOSE)
    weight, x = uniform(weight, 1), integers(-128, 127, height, 70)
    expected = x.double() @ unpack_few_bits(weight).double().T
    torch.testing.assert_close(
        few_bits_int8_linear(pack_bytes(x), weight, zero=1).double(), expected, rtol=1e-5, atol=0.1
    )


@all_bits
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", COLUMNS)
def test_every_number_of_columns_on_every_instruction_set(bits, width):
    weight = pack_few_bits(*parts(bits, 17, width, 1)[:3])
    x = normal(5, width, seed=4)
    expected = x.double() @ unpack_few_bits(weight).double().T
    torch.testing.assert_close(few_bits_linear(x, weight).double(), expected, **CLOSE)
    weight, x = uniform(weight, 0), integers(-128, 127, 5, width)
    expected = x.double() @ unpack_few_bits(weight).double().T
    out = few_bits_int8_linear(pack_bytes(x), weight, zero=0)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1.0)


@pytest.mark.usefixtures("isa")
def test_more_tiles_than_stay_in_cache():
    weight = pack_few_bits(*parts(4, 3, 7000, 10)[:3])
    x = normal(60, 7000, seed=4)
    torch.testing.assert_close(
        few_bits_linear(x, weight).double(), x.double() @ unpack_few_bits(weight).double().T, rtol=1e-4, atol=1e-2
    )


@all_bits
def test_the_number_of_threads_changes_no_bit(bits, isa, threads):
    weight = pack_few_bits(*parts(bits, 70, 320, 2)[:3], offsets=normal(70, 2))
    x, codes = normal(130, 320), integers(-128, 127, 130, 320)
    found = []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        found.append((few_bits_linear(x, weight), few_bits_int8_linear(pack_bytes(codes), uniform(weight, 0), zero=0)))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@all_bits
@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("height", [1, 30])
def test_nan_stays_in_its_row(bits, height):
    weight = pack_few_bits(*parts(bits, 20, 40, 1)[:3])
    x = normal(height, 40)
    x[-1, 33] = torch.nan
    out = few_bits_linear(x, weight)
    assert out[-1].isnan().all()
    assert out[:-1].isfinite().all()


@pytest.mark.usefixtures("isa")
def test_subnormal_numbers_are_zero_inside():
    weight = pack_few_bits(torch.ones(16, 3, dtype=torch.uint8), torch.ones(16, 1), torch.ones(4))
    assert not few_bits_linear(torch.full((3, 3), 1e-40), weight).any()


def test_leading_dimensions_are_kept():
    weight = pack_few_bits(*parts(2, 5, 40, 1)[:3])
    x = normal(2, 3, 40)
    out = few_bits_linear(x, weight)
    assert out.shape == (2, 3, 5)
    torch.testing.assert_close(out[1, 2], few_bits_linear(x[1, 2], weight))
    assert few_bits_int8_linear(pack_bytes(integers(0, 9, 2, 3, 40)), uniform(weight, 0), zero=0).shape == (2, 3, 5)


def test_the_gradient_is_that_of_the_dense_layer():
    weight = pack_few_bits(*parts(4, 5, 70, 3)[:3], offsets=normal(5, 3))
    x, bias = normal(2, 3, 70).requires_grad_(), normal(5).requires_grad_()
    probe = normal(2, 3, 5, seed=9)
    grads = torch.autograd.grad((few_bits_linear(x, weight, bias) * probe).sum(), (x, bias))
    dense = torch.nn.functional.linear(x, unpack_few_bits(weight), bias)
    expected = torch.autograd.grad((dense * probe).sum(), (x, bias))
    for ours, theirs in zip(grads, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": torch.ones(5, 70)}, "codes: expected uint8"),
        ({"codes": torch.ones(70, dtype=torch.uint8)}, r"codes: expected uint8 of shape \(outputs, inputs\)"),
        ({"codes": torch.full((5, 70), 4, dtype=torch.uint8)}, "codes: expected values below 4"),
        ({"scales": torch.ones(5)}, r"scales: expected float32 of shape \(5, groups\)"),
        ({"scales": torch.ones(5, 4)}, "scales: 4 groups do not divide 70 inputs into multiples of 32"),
        ({"scales": torch.ones(5, 0)}, "scales: 0 groups do not divide"),
        ({"levels": torch.ones(3)}, r"levels: expected float32 of shape \(2,\), \(4,\) or \(16,\)"),
        ({"offsets": torch.ones(5, 2)}, r"offsets: expected float32 of shape \(5, 3\)"),
    ],
)
def test_what_is_wrong_with_a_matrix_is_named(changes, message):
    arguments = {
        "codes": torch.ones(5, 70, dtype=torch.uint8),
        "scales": torch.ones(5, 3),
        "levels": torch.ones(4),
        "offsets": None,
    } | changes
    with pytest.raises(DataError, match=message):
        pack_few_bits(**arguments)


def test_what_is_wrong_with_a_product_is_named():
    weight = pack_few_bits(*parts(2, 5, 70, 3)[:3])
    x, words = normal(2, 70), pack_bytes(integers(0, 1, 2, 70))
    for call, message in (
        (lambda: few_bits_linear(x.double(), weight), "x: expected float32"),
        (lambda: few_bits_linear(x[:, :69], weight), "x: expected 70 inputs, found float32"),
        (lambda: few_bits_linear(x, weight, torch.ones(4)), r"bias: expected float32 of shape \(5,\)"),
        (lambda: few_bits_linear(x, weight._replace(group=33)), "group: 3 groups of 33 do not fit 70 inputs"),
        (lambda: few_bits_linear(x, weight._replace(scales=weight.scales[:, :2])), "group: 2 groups of 32 do not fit"),
        (lambda: few_bits_linear(x, weight._replace(panels=weight.panels[:, 1:])), "panels: expected int32 of shape"),
        (lambda: few_bits_int8_linear(words, weight, zero=4), r"zero: expected a code in \[0, 4\), found 4"),
        (lambda: few_bits_int8_linear(words.float(), weight, zero=0), "words: expected int32"),
    ):
        with pytest.raises(DataError, match=message):
            call()


def test_operators_are_registered_soundly():
    weight = pack_few_bits(*parts(2, 5, 70, 3)[:3], offsets=normal(5, 3))
    matrix = (weight.panels, weight.scales, weight.offsets)
    x, bias = normal(2, 70).requires_grad_(), normal(5).requires_grad_()
    torch.library.opcheck(FEW_BITS_LINEAR, (x, *matrix, weight.levels, 32, 5, bias))
    words = pack_bytes(integers(-9, 9, 2, 70))
    torch.library.opcheck(FEW_BITS_INT8_LINEAR, (words, *matrix, 2, 1, 32, 70, 5, torch.ones(2), None))
