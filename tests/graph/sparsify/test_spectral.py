from __future__ import annotations

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError, SettingError
from gossamer.graph import Graph, Links, power_law
from gossamer.graph.sparsify import Spectral, effective_resistances, sparsify
from gossamer.graph.sparsify.spectral import expected_draws
from tests.graph.strategies import graphs


def laplacian(graph: Graph) -> torch.Tensor:
    dense = graph.adjacency.to_dense().double()
    dense.fill_diagonal_(0.0)
    return torch.diag(dense.sum(1)) - dense


def positive(graph: Graph) -> Graph:
    return Graph(graph.adjacency.with_values(graph.adjacency.to_values() + 0.25)).to_undirected()


def components(graph: Graph) -> int:
    return networkx.number_connected_components(graph.to_networkx(directed=False))


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_resistances_are_those_of_the_pseudo_inverse(graph: Graph) -> None:
    graph = positive(graph)
    links, inverse = Links.of(graph), torch.linalg.pinv(laplacian(graph), hermitian=True)
    s, t = links.source, links.target
    expected = inverse[s, s] + inverse[t, t] - 2 * inverse[s, t]
    torch.testing.assert_close(effective_resistances(links), expected, rtol=1e-5, atol=1e-7)


@settings(max_examples=20, deadline=None)
@given(graphs())
def test_fosters_theorem(graph: Graph) -> None:
    graph = positive(graph)
    links = Links.of(graph)
    total = float((links.weight.double() * effective_resistances(links)).sum())
    assert total == pytest.approx(graph.num_nodes - components(graph), abs=1e-5)


def test_projections_come_near_and_obey_foster_on_average() -> None:
    graph = power_law(400, 1600, seed=1).to_undirected()
    links = Links.of(graph)
    exact, near = effective_resistances(links), effective_resistances(links, projections=400, seed=2)
    ratio = near / exact
    assert float(ratio.std()) < 1.2 * np.sqrt(2 / 400), "the standard error of a mean of 400 squares"
    assert float((ratio - 1).abs().max()) < 0.4
    assert float(near.sum()) == pytest.approx(float(exact.sum()), rel=0.01)
    assert torch.equal(near, effective_resistances(links, projections=400, seed=2))


def test_bridges_and_cliques_by_hand() -> None:
    path = Graph.from_networkx(networkx.path_graph(5))
    torch.testing.assert_close(effective_resistances(Links.of(path)), torch.ones(4).double())
    clique = Graph.from_networkx(networkx.complete_graph(6))
    torch.testing.assert_close(effective_resistances(Links.of(clique)), torch.full((15,), 2 / 6).double())
    assert effective_resistances(Links.of(Graph.from_edge_index(torch.zeros(2, 0).long(), 3))).shape == (0,)


def test_what_has_no_resistances_is_refused() -> None:
    with pytest.raises(DataError, match="undirected"):
        effective_resistances(Links.of(Graph.from_edge_index(torch.tensor([[0], [1]]), 2)))
    bad = Graph.from_edge_index(torch.tensor([[0, 1], [1, 0]]), 2, torch.tensor([-1.0, -1.0]))
    with pytest.raises(DataError, match="positive edge weights, found -1"):
        effective_resistances(Links.of(bad))
    with pytest.raises(SettingError, match="projections is 0"):
        effective_resistances(Links.of(power_law(10, 20, seed=0).to_undirected()), projections=0)


def test_the_quadratic_form_is_kept_within_the_bound() -> None:
    graph = Graph.from_networkx(networkx.complete_graph(40))
    links, whole = Links.of(graph), laplacian(graph)
    values, vectors = torch.linalg.eigh(whole)
    half = vectors[:, 1:] / values[1:].sqrt()  # L^(+1/2) without the constant vector
    chance = (links.weight.double() * effective_resistances(links)).numpy()
    for seed in range(5):
        found = sparsify(graph, Spectral(), 0.3, seed=seed)
        draws = expected_draws(chance / chance.sum(), round(0.7 * len(links)))
        # Matrix Chernoff: beyond ε with a chance of at most 2 n exp(-ε² q / (3 (n - 1))), here below one in a thousand.
        bound = np.sqrt(3 * 39 * np.log(2 * 40 * 1000) / draws)
        relative = torch.linalg.eigvalsh(half.t() @ laplacian(found.graph) @ half)
        assert bound < 1.2
        assert 1 - bound < float(relative.min()) <= float(relative.max()) < 1 + bound
        cut = sparsify(graph, Spectral(rescale=False), 0.3, seed=seed)
        assert cut.graph.weights is None
        assert torch.equal(cut.keep, found.keep)


@pytest.mark.parametrize(("projections", "seeds"), [(None, 200), (8, 60)])
def test_weights_are_right_in_expectation(projections: int | None, seeds: int) -> None:
    links = Links.of(positive(power_law(12, 20, seed=5)))
    chosen = [Spectral(projections=projections).choose(links, 0.5, seed=seed) for seed in range(seeds)]
    factors = torch.stack([one.factor for one in chosen if one.factor is not None])
    error = factors.std(0) / seeds**0.5
    assert bool(((factors.mean(0) - 1.0).abs() < 5 * error + 1e-9).all()), (
        "so is the Laplacian, which is linear in them"
    )
    kept = np.mean([float(one.keep.double().mean()) for one in chosen])
    assert kept == pytest.approx(0.5, abs=0.04)


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=8), st.data())
def test_draws_are_as_many_as_are_expected_to_find(weights: list[float], data: st.DataObject) -> None:
    chance = np.array(weights) / sum(weights)
    count = data.draw(st.integers(1, len(weights) - 1))
    draws = expected_draws(chance, count)
    found = lambda q: float((1 - (1 - chance) ** q).sum())  # noqa: E731
    assert found(draws + 1) >= count - 1e-6
    assert draws <= 2 or found(draws - 1) <= count + 1e-6
