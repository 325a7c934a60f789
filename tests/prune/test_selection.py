from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import TrainingError
from gossamer.prune.selection import GONE, Groups, kept, select, top

tied = st.lists(st.integers(-3, 3), min_size=1, max_size=40).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)


@given(st.integers(1, 10**9), st.integers(0, 999))
def test_kept_is_the_exact_ceiling(weights: int, thousandths: int) -> None:
    exact = math.ceil((1 - Fraction(thousandths, 1000)) * weights)
    assert kept(weights, thousandths / 1000) == exact


@given(tied, st.integers(0, 45))
def test_top_takes_exactly_so_many_and_ties_go_to_the_lower_index(score: torch.Tensor, count: int) -> None:
    order = sorted(range(len(score)), key=lambda i: (-float(score[i]), i))
    expected = set(order[:count])
    assert {int(i) for i in top(score, count).nonzero()} == expected


def test_select_without_a_least_keeps_nothing_that_does_not_fit() -> None:
    score = torch.tensor([1.0, 2.0])
    for sizes in ([3, 3], [1, 3]):
        groups = Groups("w", (2,), score, torch.tensor(sizes))
        assert select(groups, 2).tolist() == [False, True]
        assert select(groups, 2, least=0).tolist() == [False, False]


@given(tied, st.data())
def test_select_is_the_longest_prefix_that_fits(score: torch.Tensor, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=len(score), max_size=len(score)))
    score = score.masked_fill(score == -3, GONE)
    budget = data.draw(st.integers(0, sum(sizes) + 2))
    order = sorted(range(len(score)), key=lambda i: (-float(score[i]), i))
    expected, total = {order[0]}, sizes[order[0]]
    for i in order[1:]:
        total += sizes[i]
        if total > budget:
            break
        expected.add(i)
    expected = {i for i in expected if score[i] > GONE}
    found = select(Groups("w", (len(score),), score, torch.tensor(sizes)), budget)
    assert {int(i) for i in found.nonzero()} == expected


def test_a_score_that_is_no_number_is_named() -> None:
    groups = Groups("fc.weight", (2, 1), torch.tensor([1.0, math.nan]), torch.ones(2, dtype=torch.int64))
    with pytest.raises(TrainingError, match=r"scores of fc.weight"):
        select(groups, 1)
