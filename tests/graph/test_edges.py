import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.graph import EdgeList

IDS = st.one_of(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))),
    st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3))),
)


def columns(pairs):
    kind = pa.string() if pairs and isinstance(pairs[0][0], str) else pa.int64()
    return [pa.array([pair[side] for pair in pairs], kind) for side in (0, 1)]


@given(IDS)
def test_numbers_lead_back_to_sorted_ids(pairs):
    edges = EdgeList.from_ids(*columns(pairs))
    ids = edges.ids.tolist()
    assert ids == sorted({end for pair in pairs for end in pair}, key=lambda i: i.encode() if isinstance(i, str) else i)
    assert [(ids[u], ids[v]) for u, v in zip(edges.source, edges.target, strict=True)] == pairs
    assert len(edges) == len(pairs)


@given(IDS)
def test_bipartite_ends_are_apart(pairs):
    edges = EdgeList.from_ids(*columns(pairs), bipartite=True)
    assert edges.left == len({u for u, _ in pairs})
    assert all(u < edges.left <= v for u, v in zip(edges.source, edges.target, strict=True))
    assert [(edges.ids[u], edges.ids[v]) for u, v in zip(edges.source, edges.target, strict=True)] == pairs


def sample(**more):
    return EdgeList.from_ids([5, 7, 5], [7, 5, 9], time=np.array([3, 1, 2]), weight=np.array([1.0, 2.0, 3.0]), **more)


def test_sorting_by_time_takes_everything_along():
    edges = sample(columns={"kind": np.array(["a", "b", "c"], dtype=object)}).sorted_by_time()
    assert edges.time.tolist() == [1, 2, 3]
    assert edges.weight.tolist() == [2.0, 3.0, 1.0]
    assert edges.columns["kind"].tolist() == ["b", "c", "a"]
    assert edges.edge_index().tolist() == [[1, 0, 0], [0, 2, 1]]
    with pytest.raises(DataError, match="the edges have no time"):
        EdgeList.from_ids([0], [1]).sorted_by_time()


def test_graphs_keep_ids_time_and_weight():
    graph = sample(
        columns={"level": np.array([1.5, 2.5, 3.5]), "kind": np.array(["a", "b", "c"], dtype=object)}
    ).to_graph()
    assert graph.ids.tolist() == [5, 7, 9]
    assert graph.to_edge_index().tolist() == [[1, 0, 0], [0, 1, 2]]
    assert graph.edge_data["time"].tolist() == [1, 3, 2]
    assert graph.edge_data["level"].tolist() == [2.5, 1.5, 3.5]
    assert sorted(graph.edge_data) == ["level", "time"]
    assert graph.weights.tolist() == [2.0, 1.0, 3.0]


def test_undirected_graphs_gain_only_the_reverses_that_are_missing():
    edges = EdgeList.from_ids([0, 1, 1, 2], [1, 0, 2, 2], undirected=True)
    assert edges.to_graph().adjacency.to_dense().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 1]]
    assert edges.to_graph(directed=True).num_edges == 4
    assert EdgeList.from_ids([0], [1]).to_graph(directed=False).is_undirected()


def test_columns_of_another_length_are_refused():
    with pytest.raises(DataError, match=r"weight has shape \(1,\); expected \(2,\)"):
        EdgeList.from_ids([0, 1], [1, 0], weight=np.ones(1))
