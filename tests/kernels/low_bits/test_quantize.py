from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels.low_bits import (
    pack_int8,
    pack_int8_reference,
    pack_signs,
    pack_signs_reference,
    pack_ternary,
    pack_ternary_reference,
    unpack_bits,
    unpack_bytes,
)
from gossamer.kernels.low_bits.quantize import PACK_INT8, PACK_SIGNS, PACK_TERNARY
from tests.kernels.low_bits.cases import COLUMNS, columns, normal, rows, seeds

NAN, INF = float("nan"), float("inf")


def test_by_hand():
    x = torch.tensor([[1.0, -3.0, 0.0, -0.0]])
    words, scale = pack_signs(x, mean=True)
    assert unpack_bits(words, 4).tolist() == [[False, True, False, False]]
    assert scale.tolist() == [1.0]
    words, scale = pack_ternary(x, 1.0)
    assert unpack_bits(words[..., 0], 4).tolist() == [[False, True, False, False]]
    assert unpack_bits(words[..., 1], 4).tolist() == [[False, True, False, False]]
    words, scale = pack_int8(torch.tensor([[254.0, -127.0, 5.0, 3.0, 1.0]]))
    assert scale.tolist() == [2.0]
    assert unpack_bytes(words, 5).tolist() == [[127, -64, 2, 2, 0]]  # ties to even
    words, scale = pack_int8(torch.tensor([[254.0, -1e30, 1.0]]), torch.tensor([1.0]))
    assert unpack_bytes(words, 3).tolist() == [[127, -127, 1]]
    assert scale.tolist() == [1.0]


@given(rows, columns, seeds, st.sampled_from([1.0, 1e-36, 1e-30, 1e30]))
def test_native_and_reference_agree_in_every_bit_of_the_words(height, width, seed, size):
    x = normal(height, width, seed=seed) * size
    x[:, ::7] = 0.0
    for mean in (False, True):
        words, scale = pack_signs(x, mean=mean)
        expected, expected_scale = pack_signs_reference(x, mean)
        assert torch.equal(words, expected)
        torch.testing.assert_close(scale, expected_scale, rtol=1e-5, atol=1e-37)
    for ours, theirs in zip(pack_ternary(x, 0.4), pack_ternary_reference(x, 0.4), strict=True):
        assert torch.equal(ours, theirs)
    given_scale = torch.full((height,), 0.01) * size if size > 1e-30 else torch.ones(height)
    for scale in (None, given_scale):
        for ours, theirs in zip(pack_int8(x, scale), pack_int8_reference(x, scale), strict=True):
            assert torch.equal(ours, theirs)


def test_many_rows_round_as_the_reference_does():
    x = normal(300, 1000, seed=37)
    for ours, theirs in zip(pack_int8(x), pack_int8_reference(x, None), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", COLUMNS)
def test_every_width_on_every_instruction_set(width):
    x = normal(3, width, seed=1)
    assert torch.equal(unpack_bits(pack_signs(x)[0], width), x < 0)
    words, scale = pack_signs(x, mean=True)
    if width:
        torch.testing.assert_close(scale, x.abs().mean(1))
    words, _ = pack_ternary(x, 0.5)
    assert torch.equal(unpack_bits(words[..., 0], width), x.abs() > 0.5)
    assert torch.equal(unpack_bits(words[..., 1], width), x < -0.5)
    words, scale = pack_int8(x)
    restored = unpack_bytes(words, width) * scale[:, None]
    assert bool(((restored - x).abs() <= scale[:, None] * 0.501).all())
    if width:
        assert int(unpack_bytes(words, width).abs().amax()) == 127


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("at", [0, 20, 36, 39])
def test_a_row_with_nan_has_nan_for_its_scale_and_no_other(at):
    x = normal(4, 40)
    x[2, at] = NAN
    packed = [pack_signs(x), pack_signs(x, mean=True), pack_ternary(x, 0.5), pack_int8(x), pack_int8(x, torch.ones(4))]
    for _, scale in packed:
        assert scale.isnan().tolist() == [False, False, True, False]
    x[2, at] = INF
    assert pack_int8(x)[1].isnan().tolist() == [False, False, True, False]
    assert not pack_int8(x, torch.ones(4))[1].isnan().any()
    assert pack_signs(x, mean=True)[1][2] == INF
    assert torch.equal(pack_int8_reference(x, None)[1].isnan(), pack_int8(x)[1].isnan())


@pytest.mark.usefixtures("isa")
def test_subnormal_numbers_are_zero():
    x = torch.full((2, 37), -1e-40)
    assert not pack_signs(x)[0].any()
    assert not pack_signs(x, mean=True)[1].any()
    assert not pack_ternary(x, 0.0)[0].any()
    for part in pack_int8(x):
        assert not part.any()
    assert not pack_signs_reference(x, False)[0].any()
    assert not pack_ternary_reference(x, 0.0)[0].any()


def test_leading_dimensions_are_kept():
    x = normal(2, 3, 40)
    words, scale = pack_ternary(x, 0.5)
    assert words.shape == (2, 3, 2, 2)
    assert scale.shape == (2, 3)
    assert torch.equal(pack_signs(x)[0][1, 2], pack_signs(x[1, 2])[0])
    assert pack_int8(x, torch.ones(2, 3))[0].shape == (2, 3, 10)


def test_the_number_of_threads_changes_no_bit(isa, threads):
    x = normal(300, 400)
    found = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        found.append([*pack_signs(x, mean=True), *pack_ternary(x, 0.5), *pack_int8(x)])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pack_signs(torch.ones(3).double()), r"x: expected float32 of shape \(..., K\), found float64"),
        (lambda: pack_signs(torch.ones(())), "x: expected float32"),
        (lambda: pack_ternary(torch.ones(3), -1.0), "threshold: expected at least 0, found -1.0"),
        (lambda: pack_ternary(torch.ones(3), NAN), "threshold: expected at least 0, found nan"),
        (lambda: pack_int8(torch.ones(2, 3), torch.ones(3)), r"scale: expected float32 of shape \(2,\)"),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_operators_are_registered_soundly():
    torch.library.opcheck(PACK_SIGNS, (normal(2, 40), True))
    torch.library.opcheck(PACK_TERNARY, (normal(2, 40), 0.5))
    torch.library.opcheck(PACK_INT8, (normal(2, 40), None))
    torch.library.opcheck(PACK_INT8, (normal(2, 40), torch.ones(2)))
