from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.nn.choose import best, distinct


@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 2**31))
def test_drawn_numbers_are_different_in_range_and_as_many_as_asked_for(total, share, seed):
    count = round(share * total)
    drawn = distinct(total, count, torch.Generator().manual_seed(seed))
    assert len(set(drawn.tolist())) == count == len(drawn)
    assert all(0 <= number < total for number in drawn.tolist())
    again = distinct(total, count, torch.Generator().manual_seed(seed))
    assert torch.equal(drawn, again)


@given(st.integers(0, 60), st.integers(0, 2**31))
def test_only_what_is_allowed_is_drawn(total, seed):
    odd = lambda numbers: numbers % 2 == 1  # noqa: E731
    drawn = distinct(total, total // 2, torch.Generator().manual_seed(seed), odd)
    assert sorted(drawn.tolist()) == list(range(1, total, 2))
    with pytest.raises(DataError, match=f"only {total // 2} of {total} are free"):
        distinct(total, total // 2 + 1, torch.Generator().manual_seed(seed), odd)


def test_every_number_is_as_likely_as_another():
    generator = torch.Generator().manual_seed(0)
    counts = torch.bincount(torch.cat([distinct(20, 5, generator) for _ in range(2000)]), minlength=20)
    assert counts.sum() == 10000
    assert (counts - 500).abs().max() < 5 * (500 * 0.75) ** 0.5  # five standard deviations


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(0, 40))
def test_the_best_are_those_of_a_stable_sort(scores, count):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    assert best(torch.tensor(scores, dtype=torch.float32), count).tolist() == sorted(order[:count])
