from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels.low_bits import (
    from_panels,
    pack_bits,
    pack_bytes,
    pack_codes,
    to_panels,
    unpack_bits,
    unpack_bytes,
    unpack_codes,
)
from gossamer.kernels.low_bits.panels import as_rows, words_of
from tests.kernels.low_bits.cases import columns, integers, rows, seeds


def test_words_by_hand():
    bits = torch.zeros(33, dtype=torch.bool)
    bits[[0, 4, 32]] = True
    assert pack_bits(bits).tolist() == [1 + 16, 1]
    assert pack_bytes(torch.tensor([1, 2, 0, 0, -1], dtype=torch.int8)).tolist() == [1 + 2 * 256, 255]
    codes = torch.zeros(17, dtype=torch.uint8)
    codes[[0, 1, 4, 16]] = torch.tensor([1, 2, 3, 1], dtype=torch.uint8)
    assert pack_codes(codes, 2).tolist() == [1 + (2 << 8) + (3 << 2), 1]
    assert pack_codes(codes, 4).tolist() == [1 + (2 << 8) + (3 << 4), 0, 1]


def test_panels_by_hand():
    words = torch.arange(17 * 2, dtype=torch.int32).reshape(17, 2)
    panels = to_panels(words)
    assert panels.shape == (2, 2, 16)
    assert panels[0, 1].tolist() == list(range(1, 33, 2))
    assert panels[1].tolist() == [[32] + [0] * 15, [33] + [0] * 15]


@given(rows, columns, seeds)
def test_bits_and_bytes_come_back(height, width, seed):
    codes = integers(-128, 127, height, width, seed=seed)
    assert torch.equal(unpack_bytes(pack_bytes(codes), width), codes)
    assert torch.equal(unpack_bits(pack_bits(codes < 0), width), codes < 0)
    assert pack_bytes(codes).shape == (height, words_of(width, 8))
    assert pack_bits(codes < 0).shape == (height, words_of(width, 1))


@given(rows, columns, st.sampled_from([1, 2, 4]), seeds)
def test_codes_come_back(height, width, bits, seed):
    codes = integers(0, 2**bits - 1, height, width, seed=seed).to(torch.uint8)
    words = pack_codes(codes, bits)
    assert words.shape == (height, words_of(width, bits))
    assert torch.equal(unpack_codes(words, bits, width), codes)


@given(rows, st.integers(0, 5), st.booleans(), seeds)
def test_panels_come_back_and_are_zero_beyond(height, width, pairs, seed):
    shape = (height, width, 2) if pairs else (height, width)
    words = torch.randint(-(2**31), 2**31, shape, generator=torch.Generator().manual_seed(seed)).to(torch.int32)
    panels = to_panels(words)
    assert torch.equal(from_panels(panels, height), words)
    assert int((panels != 0).sum()) == int((words != 0).sum())


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (2, 0, 3), (4,), (2, 3, 4)])
def test_rows_of_any_shape(shape):
    flat = as_rows(torch.empty(shape))
    assert flat.dim() == 2
    assert flat.shape[-1] == shape[-1]
    assert flat.numel() == torch.empty(shape).numel()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pack_bits(torch.ones(3)), "bits: expected bool"),
        (lambda: pack_bytes(torch.ones(3)), "codes: expected int8"),
        (lambda: pack_codes(torch.ones(3), 2), "codes: expected uint8"),
        (lambda: pack_codes(torch.full((3,), 4, dtype=torch.uint8), 2), "expected values below 4 for 2 bits, found 4"),
        (lambda: pack_codes(torch.ones(3, dtype=torch.uint8), 3), "bits: expected 1, 2 or 4, found 3"),
        (lambda: unpack_bits(torch.ones(2, dtype=torch.int32), 65), r"words: expected int32 of shape \(..., 3\)"),
        (lambda: unpack_bytes(torch.ones(2), 8), "words: expected int32"),
        (lambda: to_panels(torch.ones(2, 2)), r"words: expected int32 of shape \(rows, W\)"),
        (lambda: from_panels(torch.ones(1, 2, 16), 17), r"panels: expected shape \(2, W, 16\) for 17 rows"),
    ],
)
def test_what_is_wrong_is_named(call, message):
    with pytest.raises(DataError, match=message):
        call()
