import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gossamer.errors import DataError, ModelError, SettingError
from gossamer.graph import CSR, Graph, random_graph
from gossamer.tasks import LinkPrediction, pairs


def undirected(pair_columns):
    return {tuple(sorted(pair)) for pair in pair_columns.T.tolist()}


@pytest.fixture(scope="module")
def graph():
    return random_graph(40, 400, seed=1)


class Embedding(nn.Module):
    """A table of embeddings, whatever the input."""

    def __init__(self, nodes, width=3):
        super().__init__()
        self.table = nn.Parameter(torch.randn(nodes, width, generator=torch.Generator().manual_seed(0)))

    def forward(self, x, graph):
        return self.table


def test_every_edge_is_in_one_split_and_only_training_edges_carry_messages(graph):
    task = LinkPrediction(graph, val=0.1, test=0.2, seed=5)
    parts = {split: undirected(next(task.batches(split)).positive) for split in ("train", "val", "test")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 140, "val": 20, "test": 40}
    assert parts["train"] | parts["val"] | parts["test"] == undirected(graph.to_edge_index())
    assert sum(map(len, parts.values())) == 200
    assert undirected(task.graph.to_edge_index()) == parts["train"]
    assert task.graph.is_undirected()


def test_negatives_are_no_edges(graph):
    task = LinkPrediction(graph, val=0.1, test=0.2)
    every = undirected(graph.to_edge_index())
    val, test = (undirected(next(task.batches(split)).negative) for split in ("val", "test"))
    assert not (val | test) & every
    assert not val & test
    assert (len(val), len(test)) == (20, 40)
    train = next(task.batches("train", seed=1, epoch=2))
    assert not undirected(train.negative) & undirected(train.positive)
    assert train.negative.shape == train.positive.shape


def test_training_negatives_follow_seed_and_epoch_and_the_others_are_fixed(graph):
    task = LinkPrediction(graph)

    def drawn(split, seed, epoch):
        return next(task.batches(split, seed=seed, epoch=epoch)).negative.tolist()

    assert drawn("train", 1, 2) == drawn("train", 1, 2)
    assert drawn("train", 1, 2) != drawn("train", 1, 3)
    assert drawn("train", 1, 2) != drawn("train", 2, 2)
    assert drawn("val", 1, 2) == drawn("val", 5, 7)
    same, other = LinkPrediction(graph), LinkPrediction(graph, seed=1)
    assert drawn("test", 0, 0) == next(same.batches("test")).negative.tolist()
    assert drawn("test", 0, 0) != next(other.batches("test")).negative.tolist()


def test_loss_and_metrics_are_those_of_the_formula(graph):
    task, model = LinkPrediction(graph, hits=3), Embedding(40)
    batch = next(task.batches("train"))
    scores = model.table @ model.table.T
    edges, others = (scores[side[0], side[1]] for side in batch)
    expected = F.binary_cross_entropy_with_logits(
        torch.cat([edges, others]), torch.cat([torch.ones_like(edges), torch.zeros_like(others)])
    )
    torch.testing.assert_close(task.loss(model, batch), expected)
    fixed = next(task.batches("test"))
    edges, others = (scores[side[0], side[1]] for side in fixed)
    found = task.evaluate(model, "test")
    assert list(found) == ["auroc", "average_precision", "hits@3"]
    assert found["auroc"] == pytest.approx((edges[:, None] > others[None]).float().mean().item(), abs=1e-6)
    assert found["hits@3"] == pytest.approx((edges > others.sort().values[-3]).float().mean().item())


def test_directions_repetitions_and_loops_count_once():
    edges = torch.tensor([[0, 1, 0, 2, 3, 4, 4, 5, 6, 7, 8], [1, 0, 1, 2, 4, 3, 5, 6, 7, 8, 9]])
    task = LinkPrediction(Graph.from_edge_index(edges, 10), val=0.2, test=0.2)
    parts = [undirected(next(task.batches(split)).positive) for split in ("train", "val", "test")]
    assert set().union(*parts) == {(0, 1), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9)}
    assert sum(map(len, parts)) == 7


def test_by_time_trains_on_the_earliest_first_events():
    # Pair (i, i + 1) happens first at time i; each happens once more, later, the other way round.
    i = torch.arange(20)
    edges = torch.stack([torch.cat([i + 1, i]), torch.cat([i, i + 1])])
    made = Graph.from_edge_index(edges, 21, edge_data={"time": torch.cat([i + 100, i])})
    task = LinkPrediction(made, val=0.1, test=0.2, by_time=True)
    first = {split: next(task.batches(split)).positive[0].sort().values.tolist() for split in ("train", "val", "test")}
    assert first == {"train": list(range(14)), "val": [14, 15], "test": [16, 17, 18, 19]}


def test_by_time_needs_times(graph):
    with pytest.raises(DataError, match="no time"):
        LinkPrediction(graph, by_time=True)


def test_nodes_without_features_get_a_table_or_random_ones(graph):
    table = LinkPrediction(graph).example()[0]
    assert isinstance(table, CSR)
    torch.testing.assert_close(table.to_dense(), torch.eye(40))
    random = LinkPrediction(graph, features=8, embedding=5)
    assert random.dimensions() == {"in_features": 8, "out_features": 5}
    torch.testing.assert_close(random.example()[0], LinkPrediction(graph, features=8).example()[0])
    own = torch.ones(40, 2)
    assert LinkPrediction(dataclasses.replace(graph, x=own)).example()[0] is own


def test_a_nearly_complete_graph_has_fewer_non_edges():
    missing = 4
    numbers = torch.randperm(pairs.count(12), generator=torch.Generator().manual_seed(0))[missing:]
    low, high = pairs.nodes_of(numbers)
    task = LinkPrediction(Graph.from_edge_index(torch.stack([low, high]), 12))
    found = [next(task.batches(split)).negative.shape[1] for split in ("val", "test")]
    assert found == [2, 2]
    assert list(task.evaluate(Embedding(12), "val")) == ["auroc", "average_precision"]  # too few for Hits@20


@pytest.mark.parametrize("option", ["hits", "embedding", "features", "val", "test"])
def test_numbers_below_one_are_refused(graph, option):
    with pytest.raises(SettingError, match=f"{option} is 0(.0)?; expected a number (at least 1|above 0)"):
        LinkPrediction(graph, **{option: 0})


def test_a_complete_graph_is_refused():
    low, high = pairs.nodes_of(torch.arange(pairs.count(9)))
    with pytest.raises(DataError, match="0 pairs without an edge"):
        LinkPrediction(Graph.from_edge_index(torch.stack([low, high]), 9))


def test_too_few_edges_for_the_splits_are_refused():
    with pytest.raises(DataError, match="val split of 2 rows would be empty"):
        LinkPrediction(Graph.from_edge_index(torch.tensor([[0, 1], [1, 2]]), 9))


def test_edge_index_for_pyg_models_has_training_edges_both_ways(graph):
    task = LinkPrediction(graph, edge_index=True)
    x, edge_index = task.example()
    assert isinstance(x, torch.Tensor)
    assert undirected(edge_index) == undirected(next(task.batches("train")).positive)
    assert edge_index.shape[1] == 2 * next(task.batches("train")).positive.shape[1]


def test_a_model_that_does_not_embed_every_node_is_refused(graph):
    with pytest.raises(ModelError, match=r"returned shape \(7, 3\), expected .*\(40, any\)"):
        LinkPrediction(graph).evaluate(Embedding(7), "val")


def test_to_moves_everything(graph):
    task = LinkPrediction(graph, features=4).to("meta")
    tensors = [*task.example()[:1], *next(task.batches("val"))]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert task.graph.device.type == "meta"
