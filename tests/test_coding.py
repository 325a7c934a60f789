"""Few different values come back to the bit, in as many bits as their codes need."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer import coding
from gossamer.errors import DataError


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=256), st.integers(0, 3000), st.integers(0, 99))
def test_every_bit_pattern_comes_back(patterns, count, seed):
    rng = np.random.default_rng(seed)
    raw = rng.choice(np.array(patterns, np.uint32), count)
    values = torch.from_numpy(raw.view(np.float32).copy())
    coded = coding.encode(values)
    assert (coding.decode(coded, count).numpy().view(np.uint32) == raw).all()


def test_the_stream_is_never_longer_than_packed_bits_and_near_the_entropy():
    rng = np.random.default_rng(0)
    chances = 0.5 ** np.arange(1, 17)
    codes = rng.choice(16, 20_000, p=chances / chances.sum())
    coded = coding.encode(torch.from_numpy(codes.astype(np.float32)))
    counts = Counter(codes.tolist()).values()
    entropy = -sum(n / 20_000 * math.log2(n / 20_000) for n in counts)
    assert coded.kind == "huffman"
    assert 20_000 * entropy / 8 <= coded.codes.numel() <= 1.03 * 20_000 * entropy / 8  # dyadic: Huffman reaches it
    even = coding.encode(torch.arange(16.0).repeat(1250))
    assert even.codes.numel() <= 20_000 * 4 / 8
    assert even.bytes == even.codes.numel() + 16 * 4


@pytest.mark.parametrize("kind", [torch.uint8, torch.bool, torch.float64, torch.bfloat16])
def test_other_dtypes(kind):
    values = torch.tensor([0, 1, 1, 0, 1], dtype=kind)
    assert torch.equal(coding.decode(coding.encode(values), 5), values)


def test_one_value_needs_no_codes():
    coded = coding.encode(torch.full((1000,), 2.5))
    assert coded.bytes == 4
    assert torch.equal(coding.decode(coded, 1000), torch.full((1000,), 2.5))


def test_too_many_different_values_are_not_coded():
    assert coding.encode(torch.arange(257.0)) is None
    assert coding.encode(torch.cat([torch.zeros(10_000), torch.arange(257.0)])) is None
    assert coding.encode(torch.arange(256.0)) is not None


def test_a_count_that_does_not_fit_is_refused():
    coded = coding.encode(torch.arange(4.0).repeat(10))
    with pytest.raises(DataError, match="damaged"):
        coding.decode(coded, 41)
