from __future__ import annotations

import numpy as np
import pytest
import torch

from gossamer.errors import SettingError
from gossamer.graph import community_events, talk_events


def test_most_events_stay_within_a_community():
    graph = community_events(200, 30_000, classes=5, contrast=8.0, periods=3, seed=1)
    source, target = graph.to_edge_index()
    within = (graph.y[source] == graph.y[target]).double().mean()
    assert graph.num_edges == 30_000
    assert abs(float(within) - 8 / 12) < 0.01
    assert torch.bincount(graph.y).tolist() == [40] * 5
    time = graph.edge_data["time"]
    assert 0 <= time.min() < time.max() < 3
    awake = [len(source[time.floor() == period].unique()) for period in range(3)]
    assert awake == [100] * 3


def test_messages_repeat_and_few_write_most():
    edges = talk_events(3000, 30_000, again=0.5, seed=2)
    pairs = np.unique(edges.source * 3000 + edges.target)
    assert 0.2 < len(pairs) / len(edges) < 0.6
    degree = np.sort(np.bincount(edges.source, minlength=3000))[::-1]
    assert degree[:30].sum() > 0.2 * len(edges)
    assert edges.time is not None
    assert (np.diff(edges.time) >= 0).all()
    assert (edges.source != edges.target).all()
    assert edges.source[:3000].max() < 1000  # nodes appear by and by


@pytest.mark.parametrize("make", [community_events, talk_events])
def test_a_seed_says_which(make):
    def key(seed):
        made = make(100, 500, seed=seed)
        return (made.to_edge_index() if hasattr(made, "to_edge_index") else made.edge_index()).tolist()

    assert key(0) == key(0) != key(1)


def test_sizes_out_of_range_are_refused():
    with pytest.raises(SettingError, match="community_events: nodes=10"):
        community_events(10, 5, classes=6)
    with pytest.raises(SettingError, match="talk_events: nodes=1"):
        talk_events(1, 5)
