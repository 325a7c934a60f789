import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.tasks import pairs
from gossamer.tasks.seeding import generator


@st.composite
def graphs(draw):
    """A number of nodes and the sorted numbers of some of its pairs."""
    nodes = draw(st.integers(2, 12))
    every = list(range(pairs.count(nodes)))
    return nodes, torch.tensor(sorted(draw(st.sets(st.sampled_from(every)))), dtype=torch.int64)


def test_numbers_run_through_all_pairs_in_order():
    listed = [(low, high) for high in range(7) for low in range(high)]
    low, high = torch.tensor(listed).T
    assert pairs.number(low, high).tolist() == list(range(pairs.count(7)))
    assert pairs.nodes_of(torch.arange(pairs.count(7))).T.tolist() == [list(pair) for pair in listed]


@given(high=st.integers(1, 90_000_000), data=st.data())
def test_numbers_are_undone_exactly_even_where_square_roots_round(high, data):
    low = data.draw(st.sampled_from([0, high // 2, high - 1]))
    found = pairs.nodes_of(pairs.number(torch.tensor([low]), torch.tensor([high])))
    assert found[:, 0].tolist() == [low, high]


@settings(max_examples=60, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 1000), distinct=st.booleans(), amount=st.integers(0, 40))
def test_drawn_pairs_are_never_edges_nor_loops(graph, seed, distinct, amount):
    nodes, edges = graph
    free = pairs.count(nodes) - len(edges)
    if free < (amount if distinct else min(amount, 1)):
        with pytest.raises(DataError, match=f"{free} pairs without an edge"):
            pairs.draw_non_edges(amount, nodes, edges, generator(seed), distinct=distinct)
        return
    found = pairs.draw_non_edges(amount, nodes, edges, generator(seed), distinct=distinct)
    assert found.shape == (2, amount)
    drawn = [tuple(pair) for pair in found.T.tolist()]
    existing = {tuple(pair) for pair in pairs.nodes_of(edges).T.tolist()}
    assert all(0 <= low < high < nodes for low, high in drawn)
    assert not existing & set(drawn)
    assert not distinct or len(set(drawn)) == amount
    again = pairs.draw_non_edges(amount, nodes, edges, generator(seed), distinct=distinct)
    assert torch.equal(found, again)


def test_every_free_pair_is_equally_likely():
    edges = torch.tensor([0, 3, 4, 9])  # of the 15 pairs of 6 nodes, 11 are free
    for distinct, rounds, amount in ((False, 1, 22_000), (True, 2000, 3)):
        counts = torch.zeros(15)
        for i in range(rounds):
            low, high = pairs.draw_non_edges(amount, 6, edges, generator(i), distinct=distinct)
            counts += torch.bincount(pairs.number(low, high), minlength=15)
        free = [i for i in range(15) if i not in edges.tolist()]
        expected = rounds * amount / 11
        assert counts[edges].sum() == 0
        assert (counts[free] - expected).abs().max() < 5 * expected**0.5  # five standard deviations


def test_all_free_pairs_can_be_drawn_at_once():
    edges = torch.tensor([1, 5])
    low, high = pairs.draw_non_edges(8, 5, edges, generator(0), distinct=True)
    every = set(itertools.combinations(range(5), 2))
    existing = {tuple(pair) for pair in pairs.nodes_of(edges).T.tolist()}
    assert set(zip(low.tolist(), high.tolist(), strict=True)) == every - existing
