from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gossamer.stream import KnownPairs

pairs = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20), max_size=8)


def columns(rows):
    return np.array(rows, dtype=np.int64).reshape(-1, 2).T


@given(pairs)
def test_it_is_a_set(batches):
    known, expected = KnownPairs(), set()
    for batch in batches:
        known.add(*columns(batch))
        expected |= set(batch)
        assert len(known) == len(expected)
    every = [(a, b) for a in range(10) for b in range(10)]
    assert known.contains(*columns(every)).tolist() == [pair in expected for pair in every]


@given(pairs, st.integers(0, 5))
def test_drawn_pairs_are_not_in_it(batches, seed):
    known = KnownPairs()
    for batch in batches:
        known.add(*columns(batch))
    sources = np.arange(200) % 10
    left, right = known.draw_others(sources, 10, np.random.default_rng(seed))
    assert len(left) == len(right) <= 200
    assert not known.contains(left, right).any()


def test_half_keep_their_source():
    left, right = KnownPairs().draw_others(np.zeros(4000, dtype=np.int64), 1000, np.random.default_rng(0))
    assert abs((left == 0).mean() - 0.5) < 0.03
    assert len(np.unique(right)) > 900


def test_where_every_pair_is_known_none_is_drawn():
    known = KnownPairs()
    known.add(*columns([(a, b) for a in range(3) for b in range(3)]))
    assert len(known.draw_others(np.zeros(5, dtype=np.int64), 3, np.random.default_rng(0))[0]) == 0
