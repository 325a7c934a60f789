from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from gossamer.errors import DataError
from gossamer.graph import Embeddings, NegativeSampler, SkipGram, Walker, csbm, embed_walks, from_every_node


def walks_of(graph, seed=0):
    return Walker(graph).walk(from_every_node(graph, 10), 12, seed=seed)


GRAPH = csbm(200, 4, degree=12.0, structure=2.0, seed=1)
SETTINGS = SkipGram(dimensions=16, window=4, epochs=3, learning_rate=0.05)


def auc(vectors, edges, others):
    scores = [(vectors[pair[0]] * vectors[pair[1]]).sum(1) for pair in (edges, others)]
    return roc_auc_score([1] * edges.shape[1] + [0] * others.shape[1], torch.cat(scores).numpy())


def test_joined_nodes_get_alike_vectors():
    edges = GRAPH.to_edge_index()
    others = NegativeSampler(GRAPH).pairs(edges.shape[1])
    found = embed_walks(walks_of(GRAPH), 200, SETTINGS)
    assert found.vectors.shape == found.contexts.shape == (200, 16)
    untrained = embed_walks(walks_of(GRAPH), 200, SkipGram(dimensions=16, learning_rate=1e-9, final_rate=0.0))
    assert auc(untrained.vectors, edges, others) < 0.6
    assert auc(found.vectors, edges, others) > 0.8


def test_one_thread_gives_the_same_bits():
    torch.set_num_threads(2)
    one, two = (embed_walks(walks_of(GRAPH), 200, SETTINGS, seed=5) for _ in range(2))
    assert torch.equal(one.vectors, two.vectors)
    assert torch.equal(one.contexts, two.contexts)
    assert not torch.equal(embed_walks(walks_of(GRAPH), 200, SETTINGS, seed=6).vectors, one.vectors)


def test_hogwild_learns_the_same_thing():
    torch.set_num_threads(2)
    edges = GRAPH.to_edge_index()
    others = NegativeSampler(GRAPH).pairs(edges.shape[1])
    shared = embed_walks(walks_of(GRAPH), 200, SETTINGS, hogwild=True)
    alone = embed_walks(walks_of(GRAPH), 200, SETTINGS)
    assert abs(auc(shared.vectors, edges, others) - auc(alone.vectors, edges, others)) < 0.02


def test_training_goes_on_from_given_vectors():
    first = embed_walks(walks_of(GRAPH), 200, SETTINGS)
    kept = first.vectors.clone()
    # New walks are about the first ten nodes only: the others have no reason to move but as noise, which they are not.
    more = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] * 20)
    second = embed_walks(more, 201, SETTINGS, start=first)
    assert torch.equal(first.vectors, kept)
    assert torch.equal(second.vectors[10:200], kept[10:])
    assert (second.vectors[:10] - kept[:10]).abs().amax(1).min() > 0
    assert second.vectors[200].abs().max() <= 1 / 16
    assert second.contexts[200].abs().max() == 0


def test_a_frequent_node_is_dropped_more_often():
    # Node 0 stands between all others; with a threshold far below its share it hardly ever does.
    walks = torch.stack([torch.arange(1, 41), torch.zeros(40, dtype=torch.int64), torch.arange(2, 42)], 1).repeat(20, 1)
    settings = {"dimensions": 8, "window": 1, "negatives": 1}
    often = embed_walks(walks, 42, SkipGram(frequent=0.0, **settings))
    seldom = embed_walks(walks, 42, SkipGram(frequent=1e-5, **settings))
    assert seldom.contexts[0].norm() < 0.3 * often.contexts[0].norm()


@pytest.mark.parametrize(
    ("walks", "nodes", "start", "message"),
    [
        (torch.tensor([[0, 3]]), 3, None, "walks: the highest node is 3; expected 0 to 2"),
        (torch.tensor([[-1, -1]]), 3, None, "walks: the highest node is -1"),
        (torch.rand(2, 2), 3, None, "walks: found torch.float32"),
        (torch.tensor([[0, 1]]), 0, None, "nodes: found 0"),
        (
            torch.tensor([[0, 1]]),
            2,
            Embeddings(torch.ones(2, 3), torch.ones(2, 3)),
            r"start: vectors of shape \(2, 3\)",
        ),
        (torch.tensor([[0, 1]]), 2, Embeddings(torch.ones(3, 128), torch.ones(3, 128)), r"expected both \(2 or fewer"),
    ],
)
def test_errors_name_what_is_wrong(walks, nodes, start, message):
    with pytest.raises(DataError, match=message):
        embed_walks(walks, nodes, start=start)
