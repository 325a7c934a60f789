import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import SettingError
from gossamer.graph import csbm, knn_graph, power_law, random_graph
from gossamer.graph.generate import _distinct, _simplex, _triangle


def assert_simple(graph):
    """Undirected, no loops, no parallel edges."""
    source, target = graph.to_edge_index()
    assert graph.is_undirected()
    assert not bool((source == target).any())
    assert graph.adjacency.coalesced().nnz == graph.num_edges


MAKERS = [
    lambda seed: csbm(60, 3, 5, degree=8.0, structure=0.5, seed=seed),
    lambda seed: power_law(60, 200, seed=seed),
    lambda seed: random_graph(60, 200, seed=seed),
]


@pytest.mark.parametrize("make", MAKERS)
def test_graphs_are_simple_and_follow_their_seed(make):
    assert_simple(make(0))
    assert torch.equal(make(1).to_edge_index(), make(1).to_edge_index())
    assert not torch.equal(make(1).to_edge_index(), make(2).to_edge_index())


def test_csbm_has_the_blocks_and_degree_it_promises():
    degree, structure, classes, nodes = 12.0, 0.8, 3, 3000
    graph = csbm(nodes, classes, 4, degree=degree, structure=structure, seed=3)
    source, target = graph.to_edge_index()
    assert graph.y.bincount().tolist() == [1000, 1000, 1000]
    same = int((graph.y[source] == graph.y[target]).sum()) / nodes
    # Within: c_in (N/K - 1) / N neighbours a node; c_in = d + (K - 1) λ √d. Poisson error below 2 %.
    within = (degree + 2 * structure * math.sqrt(degree)) * (1 / classes - 1 / nodes)
    assert same == pytest.approx(within, rel=0.05)
    assert graph.num_edges / nodes == pytest.approx(degree, rel=0.03)


def test_csbm_features_separate_by_the_signal():
    # With large µ / N the class means stand out: two classes, opposite means of squared length µ / N |u|².
    graph = csbm(400, 2, 200, signal=4000.0, seed=1)
    first, second = (graph.x[graph.y == c].mean(0) for c in (0, 1))
    assert float(first @ second / first.norm() / second.norm()) < -0.95
    assert float(first.norm() ** 2) == pytest.approx(10.0, rel=0.3)
    none = csbm(400, 2, 200, signal=0.0, seed=1)
    assert float(none.x.norm() ** 2) / 400 == pytest.approx(1.0, rel=0.02)


@given(st.integers(2, 7))
def test_corners_of_the_simplex(count):
    corners = _simplex(count)
    gram = corners @ corners.T
    want = np.full((count, count), -1.0)
    np.fill_diagonal(want, count - 1.0)
    np.testing.assert_allclose(gram, want, atol=1e-9)


@given(st.integers(0, 3000), st.floats(0, 1), st.integers(0, 5))
def test_distinct_numbers(total, share, seed):
    count = int(share * total)
    found = _distinct(total, count, np.random.default_rng(seed))
    assert len(found) == len(set(found.tolist())) == count
    assert all(0 <= number < total for number in found.tolist())
    assert found.tolist() == sorted(found.tolist())


def test_distinct_numbers_are_uniform():
    rng = np.random.default_rng(0)
    hits = sum(np.bincount(_distinct(10, 3, rng), minlength=10) for _ in range(4000))
    assert abs(hits - 1200).max() < 150  # five standard deviations of a binomial of 4000 at 0.3


def test_triangle_counts_every_pair_once():
    pairs = _triangle(np.arange(45))
    assert sorted(zip(*pairs.tolist(), strict=True)) == [
        (low, high) for low in range(10) for high in range(low + 1, 10)
    ]
    last = 170_000 * 169_999 // 2 - 1
    assert _triangle(np.array([last]))[:, 0].tolist() == [169_998, 169_999]


def test_power_law_has_the_edges_asked_for_and_hubs():
    graph = power_law(5000, 60_000, 2.5, seed=0)
    degrees = graph.degrees()
    assert graph.num_edges == 60_000
    assert int(degrees.max()) > 20 * 12  # a graph without structure stays below 40
    # P(degree >= k) falls as k^-(exponent - 1) = k^-1.5: between 30 and 120 by a factor of 8.
    tail = [int((degrees >= k).sum()) for k in (30, 120)]
    assert tail[0] / tail[1] == pytest.approx(8.0, rel=0.3)


def test_random_graphs_can_be_complete_or_empty():
    assert random_graph(6, 30).adjacency.to_dense().tolist() == (1 - torch.eye(6)).tolist()
    assert random_graph(6, 0).num_edges == 0
    assert power_law(4, 6).num_edges == 6


def test_knn_joins_the_nearest():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    graph = knn_graph(x, 1)
    # 0 <-> 1, 2 -> 1, 3 -> 2, in both directions.
    assert graph.adjacency.to_dense().tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    assert graph.x is x
    assert knn_graph(x, 3).num_edges == 12


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: csbm(3, 4), "expected 2 <= classes <= nodes"),
        (lambda: csbm(100, degree=4.0, structure=3.0), "move structure towards 0"),
        (lambda: power_law(10, 7), "even number of edges"),
        (lambda: power_law(10, 60), "from 0 to 45"),
        (lambda: power_law(10, 10, 2.0), "exponent is 2.0"),
        (lambda: random_graph(3, 8), "from 0 to 6"),
        (lambda: knn_graph(torch.ones(3, 1), 3), "expected 1 to 2 for 3 points"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(SettingError, match=message):
        make()
