from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.sampling import (
    LATEST,
    UNIFORM,
    WEIGHTED,
    Draw,
    Edges,
    Numbering,
    _induce_reference,
    draw_hop,
    draw_hop_reference,
    induce,
)


@st.composite
def draws(draw):
    """Returns a Draw over a random multigraph, with every choice that there is."""
    nodes, types = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    size = st.integers(0, 40) if draw(st.booleans()) else st.integers(0, 5)
    counts = draw(st.lists(size, min_size=nodes * types, max_size=nodes * types))
    bounds = torch.tensor([0, *counts]).cumsum(0)
    random = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    edges = int(bounds[-1])
    ends = torch.randint(nodes, (edges,), generator=random)
    ends = ends.int() if draw(st.booleans()) else ends
    pick, replace = draw(st.sampled_from([UNIFORM, WEIGHTED, LATEST])), draw(st.booleans())
    replace = replace and pick != LATEST
    weights = times = until = None
    if pick == WEIGHTED:
        weights = torch.rand(edges, generator=random, dtype=torch.float64) + 0.1
        if replace:
            parts = weights.split(counts)
            weights = torch.cat([part.cumsum(0) for part in parts])
    frontier = torch.tensor(draw(st.lists(st.integers(0, nodes - 1), max_size=6, unique=True)), dtype=torch.int64)
    if pick == LATEST or draw(st.booleans()):
        parts = torch.randint(5, (edges,), generator=random).split(counts)
        times = torch.cat([part.sort().values for part in parts])
        until = torch.randint(-1, 7, (max(len(frontier), 1),), generator=random)
        frontier = frontier + nodes * torch.arange(len(frontier))
    wanted = torch.tensor(draw(st.lists(st.integers(-1, 20), min_size=types, max_size=types)))
    key = draw(st.integers(0, 2**64 - 1))
    return Draw(Edges(nodes, types, bounds, ends, weights, times), frontier, wanted, until, pick, replace, key)


def span(draw):
    return draw.edges.nodes * (1 if draw.until is None else len(draw.until))


def numbering(draw, *, hashed=False):
    found = Numbering(2**40 if hashed else span(draw), 1)
    found.number(draw.frontier)
    return found


@given(draws(), st.booleans())
def test_native_equals_reference(draw, hashed):
    expected = draw_hop_reference(draw, numbering(draw))
    for got, wanted in zip(draw_hop(draw, numbering(draw, hashed=hashed)), expected, strict=True):
        assert torch.equal(got, wanted)
        assert got.dtype == wanted.dtype


@given(draws())
def test_what_is_drawn_obeys_the_rules(draw):
    hop = draw_hop(draw, numbering(draw))
    edges, place = draw.edges, 0
    for row, entry in enumerate(draw.frontier.tolist()):
        root, node = divmod(entry, edges.nodes)
        begin = place
        for kind, wanted in enumerate(draw.fanouts.tolist()):
            low, high = edges.bounds[node * edges.types + kind : node * edges.types + kind + 2].tolist()
            allowed = list(range(low, high))
            if draw.until is not None:
                allowed = [e for e in allowed if edges.times[e] < draw.until[root]]
            count = len(allowed) if wanted < 0 else min(wanted, len(allowed))
            if draw.replace and wanted >= 0 and allowed:
                count = wanted
            found = hop.positions[place : place + count].tolist()
            assert set(found) <= set(allowed)
            if wanted < 0 or not draw.replace:
                assert len(set(found)) == len(found)
            if draw.pick == LATEST:
                assert found == allowed[len(allowed) - count :]
            place += count
        assert hop.indptr[row : row + 2].tolist() == [begin, place]
    assert place == len(hop.positions)


@given(st.lists(st.lists(st.integers(0, 60), max_size=30), max_size=4), st.booleans())
def test_numbers_are_given_in_order_of_appearance(calls, hashed):
    table, numbers = Numbering(2**40 if hashed else 61, 1), {}
    for keys in calls:
        before = len(numbers)
        expected = [numbers.setdefault(key, len(numbers)) for key in keys]
        local, fresh = table.number(torch.tensor(keys, dtype=torch.int64))
        assert local.tolist() == expected
        assert fresh.tolist() == list(numbers)[before:]
        assert table.count == len(numbers)


def large(key=5):
    random = torch.Generator().manual_seed(1)
    count = torch.randint(0, 60, (5000,), generator=random)
    bounds = torch.cat([count.new_zeros(1), count.cumsum(0)])
    ends = torch.randint(5000, (int(bounds[-1]),), generator=random).int()
    return Draw(Edges(5000, 1, bounds, ends), torch.arange(0, 5000, 2), torch.tensor([10]), None, UNIFORM, False, key)


def test_every_number_of_threads_draws_the_same():
    draw, results = large(), []
    for threads in (1, 2, 7):
        torch.set_num_threads(threads)
        results.append([draw_hop(draw, numbering(draw)), draw_hop(draw, numbering(draw, hashed=True))])
    for other in results:
        for got, expected in zip(other, results[0], strict=True):
            assert all(map(torch.equal, got, expected))
        assert all(map(torch.equal, other[0], other[1]))
    assert len(results[0][0].fresh) > 2000
    again = large(key=6)
    assert not torch.equal(draw_hop(again, numbering(again)).positions, results[0][0].positions)


@pytest.mark.parametrize("bad", [-1, 3])
def test_an_edge_that_leads_nowhere_is_an_error(bad):
    edges = Edges(3, 1, torch.tensor([0, 2, 2, 2]), torch.tensor([0, bad]))
    draw = Draw(edges, torch.tensor([0]), torch.tensor([-1]), None, UNIFORM, False, 0)
    for hop in (draw_hop, draw_hop_reference):
        with pytest.raises(DataError, match=r"ends: holds values outside \[0, 3\)"):
            hop(draw, numbering(draw))


def test_a_sample_that_is_too_large_is_an_error():
    with pytest.raises(DataError, match="2147483648 edges in one sample; expected at most 2147483647"):
        Numbering(10, 1).reserve(2**31)


@given(draws())
def test_induced_rows_are_those_of_a_dense_matrix(draw):
    edges = draw.edges
    bounds = edges.bounds[:: edges.types].contiguous()
    dense = torch.zeros(edges.nodes, edges.nodes)
    rows = torch.repeat_interleave(torch.arange(edges.nodes), bounds.diff())
    dense.index_put_((rows, edges.ends.long()), torch.ones(()), accumulate=True)
    chosen = draw.frontier % edges.nodes
    indptr, indices, positions = induce(bounds, edges.ends, edges.nodes, chosen)
    got = torch.zeros(len(chosen), len(chosen))
    local = torch.repeat_interleave(torch.arange(len(chosen)), indptr.diff())
    got.index_put_((local, indices.long()), torch.ones(()), accumulate=True)
    assert torch.equal(got, dense[chosen][:, chosen])
    assert torch.equal(edges.ends[positions].long(), chosen[indices.long()])
    place = torch.full((edges.nodes,), -1, dtype=torch.int32)
    place[chosen] = torch.arange(len(chosen), dtype=torch.int32)
    for one, other in zip(
        _induce_reference(bounds, edges.ends, edges.nodes, chosen, place), (indptr, indices, positions), strict=True
    ):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


def test_without_native_kernels_the_same_is_drawn(monkeypatch):
    draw = large()
    expected = draw_hop(draw, numbering(draw))
    chosen = torch.arange(0, 5000, 3)
    part = induce(draw.edges.bounds, draw.edges.ends, 5000, chosen)
    monkeypatch.setattr(native, "kernels", lambda: None)
    assert all(map(torch.equal, draw_hop(draw, numbering(draw)), expected))
    assert all(map(torch.equal, draw_hop(draw, numbering(draw, hashed=True)), expected))
    assert all(map(torch.equal, induce(draw.edges.bounds, draw.edges.ends, 5000, chosen), part))
