from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gossamer.errors import SettingError
from gossamer.kernels.random import Stream, Streams, _mix, stream_key

WORDS = st.integers(0, 2**64 - 1)


def test_is_splitmix():
    # The published first outputs of SplitMix64 from the state 1234567.
    stream = Stream(0, 0)
    stream._state = 1234567
    assert [stream.next() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(WORDS, st.lists(st.integers(0, 2**62), min_size=1, max_size=5, unique=True))
def test_side_by_side_is_one_by_one(key, items):
    streams, which = Streams(key, np.array(items)), np.arange(len(items))
    single = [Stream(key, item) for item in items]
    for _ in range(3):
        assert streams.uniform(which).tolist() == [stream.uniform() for stream in single]
        assert streams.below(which, np.array([7])).tolist() == [stream.below(7) for stream in single]


@given(WORDS, st.integers(1, 2**53 - 1))
def test_below_stays_below(key, bound):
    assert 0 <= Stream(key, 0).below(bound) < bound
    largest = (2**53 - 1) * 2.0**-53
    assert int(largest * bound) < bound


def test_numbers_are_uniform_and_streams_unrelated():
    streams, which = Streams(stream_key(3), np.arange(20_000)), np.arange(20_000)
    first, second = streams.uniform(which), streams.uniform(which)
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    cells = np.histogram2d(first, second, bins=8)[0]
    assert stats.chisquare(cells.ravel()).pvalue > 1e-3
    neighbours = np.histogram2d(first[:-1], first[1:], bins=8)[0]
    assert stats.chisquare(neighbours.ravel()).pvalue > 1e-3


def test_keys_depend_on_every_number_and_their_order():
    keys = {stream_key(*words) for words in [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0)]}
    assert len(keys) == 6
    assert all(0 <= key < 2**64 for key in keys)
    assert _mix(0) == 0


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_an_error(seed):
    with pytest.raises(SettingError, match=rf"seed: found {seed}, expected 0 to 2\^64 - 1"):
        stream_key(seed)
