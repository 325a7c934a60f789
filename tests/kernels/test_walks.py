from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.walks import (
    Walk,
    walk_node2vec,
    walk_node2vec_reference,
    walk_temporal,
    walk_temporal_reference,
    walk_uniform,
)


@st.composite
def walks(draw, *, weighted=True):
    nodes = draw(st.integers(1, 8))
    counts = draw(st.lists(st.integers(0, 6), min_size=nodes, max_size=nodes))
    random = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    indices = [torch.randint(nodes, (count,), generator=random).sort().values for count in counts]
    sums = [(torch.rand(count, generator=random, dtype=torch.float64) + 0.1).cumsum(0) for count in counts]
    indptr = torch.tensor([0, *counts]).cumsum(0)
    starts = torch.randint(nodes, (draw(st.integers(0, 70)),), generator=random)
    columns = torch.cat(indices)
    return Walk(
        indptr,
        columns.int() if draw(st.booleans()) else columns,
        torch.cat(sums) if weighted and draw(st.booleans()) else None,
        starts,
        draw(st.integers(0, 5)),
        draw(st.integers(0, 2**64 - 1)),
        draw(st.booleans()),
    )


def same(got, expected):
    assert torch.equal(got[0], expected[0])
    assert (got[1] is None) == (expected[1] is None)
    assert got[1] is None or torch.equal(got[1], expected[1])


@given(walks(), st.sampled_from([(1.0, 1.0), (0.5, 2.0), (4.0, 0.25), (1.0, 3.0)]))
def test_native_equals_reference(walk, bias):
    same(walk_node2vec(walk, *bias) if bias != (1.0, 1.0) else walk_uniform(walk), walk_node2vec_reference(walk, *bias))


@given(walks(weighted=False), st.integers(0, 100), st.booleans(), st.booleans())
def test_native_equals_reference_in_time(walk, seed, scored, falling):
    random = torch.Generator().manual_seed(seed)
    end = walk.indptr[walk.indices.long() + 1]
    later = walk.indptr[walk.indices.long()]
    later = later + (torch.rand(len(later), generator=random) * (end - later + 1)).long()
    first = walk.indptr[walk.starts]
    scores = None
    if scored:
        counts = walk.indptr.diff().tolist()
        parts = [torch.rand(count, generator=random, dtype=torch.float64) for count in counts]
        scores = torch.cat([part.sort(descending=falling).values for part in parts])
    same(
        walk_temporal(walk, first, later, scores, falling=falling),
        walk_temporal_reference(walk, first, later, scores, falling=falling),
    )


def cycle(starts, indices=(1, 2, 0)):
    return Walk(torch.arange(4), torch.tensor(indices), None, torch.tensor(starts), 4, 7)


def test_by_hand():
    nodes, positions = walk_uniform(cycle([1, 0]))
    assert nodes.tolist() == [[1, 2, 0, 1, 2], [0, 1, 2, 0, 1]]
    assert positions.tolist() == [[1, 2, 0, 1], [0, 1, 2, 0]]


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_node_that_does_not_exist_is_an_error(bad):
    walk = cycle([0], (1, 2, bad))
    for lead in (
        walk_uniform,
        lambda w: walk_node2vec(w, 0.5, 2.0),
        lambda w: walk_node2vec_reference(w, 1.0, 1.0),
        lambda w: walk_temporal(w, torch.zeros(1, dtype=torch.int64), torch.tensor([1, 2, 0]), None, falling=False),
    ):
        with pytest.raises(DataError, match=r"indices: holds values outside \[0, 3\)"):
            lead(walk)


def test_without_native_kernels_walks_are_the_same(monkeypatch):
    expected = walk_uniform(cycle([1, 0])), walk_node2vec(cycle([2]), 0.5, 2.0)
    later, first = torch.tensor([1, 2, 0]), torch.tensor([1, 0])
    timed = walk_temporal(cycle([1, 0]), first, later, None, falling=False)
    monkeypatch.setattr(native, "kernels", lambda: None)
    same(walk_uniform(cycle([1, 0])), expected[0])
    same(walk_node2vec(cycle([2]), 0.5, 2.0), expected[1])
    same(walk_temporal(cycle([1, 0]), first, later, None, falling=False), timed)
