"""The methods by name are the points of the product that their papers describe."""

from __future__ import annotations

import math

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from gossamer.compression.registry import methods
from gossamer.errors import SettingError
from gossamer.prune import (
    AtRandom,
    ByGradient,
    Cubic,
    DropAndGrow,
    ErdosRenyiKernel,
    Filters,
    HardMasks,
    Iterative,
    Magnitude,
    NMPattern,
    OneShot,
    SignedRank,
    SIMDBlocks,
    Taylor,
)
from tests.prune.toy import Regression, network, train

EXPECTED = {
    "magnitude": HardMasks(score=Magnitude(), schedule=OneShot(at=0.5)),
    "gradual": HardMasks(schedule=Cubic()),
    "lottery": HardMasks(schedule=Iterative(rewind=True)),
    "taylor": HardMasks(score=Taylor()),
    "magnitude-simd": HardMasks(score=Magnitude(power=2.0), granularity=SIMDBlocks(rows=16)),
    "magnitude-filters": HardMasks(sparsity=0.5, granularity=Filters()),
    "magnitude-2-4": NMPattern(n=2, m=4),
    "rigl": DropAndGrow(drop=Magnitude(), grow=ByGradient(), allocation=ErdosRenyiKernel()),
    "set": DropAndGrow(drop=SignedRank(), grow=AtRandom(), allocation=ErdosRenyiKernel()),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_names_stand_for_these_choices(name: str) -> None:
    assert methods()[name].method == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_each_fits_a_network_at_its_sparsity(name: str) -> None:
    """The map to fit has rank 4, so half of the weights and more are to spare."""
    method = methods()[name].method
    method = method if isinstance(method, NMPattern) else method.replace(sparsity=0.5)
    task = Regression()
    run = method.start(network(hidden=32), task, epochs=80)
    model = train(run, task, torch.optim.Adam(run.model.parameters(), lr=0.01))
    assert task.evaluate(model, "val")["r2"] > 0.8
    report = run.layer_report()
    total = sum(layer["parameters"] for layer in report)
    assert sum(layer["nonzeros"] for layer in report) == math.ceil(0.5 * total)


def test_n_m_keeps_two_of_every_four_in_convolutions_too() -> None:
    class Images(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.x = self.x.view(-1, 3, 2, 2)

    model = nn.Sequential(nn.Conv2d(3, 8, 2), nn.Flatten(), nn.Linear(8, 4))
    run = NMPattern(n=1, m=4).start(model, Images(), epochs=0)
    model = run.finish()
    for weight in (model[0].weight, model[2].weight):
        pieces = (weight.flatten(1) != 0).view(len(weight), -1, 4)
        assert bool((pieces.sum(2) == 1).all())
        largest = weight.flatten(1).abs().view(pieces.shape).argmax(2)
        assert torch.equal(largest, pieces.int().argmax(2))
    with pytest.raises(SettingError, match="expected n below m"):
        NMPattern(n=5, m=4)


def test_filters_of_a_graph_convolution_take_its_bias() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = pyg.GCNConv(12, 6), pyg.GCNConv(6, 4)
            torch.nn.init.ones_(self.first.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
            return self.second(self.first(x, edges).relu(), edges)

    run = HardMasks(sparsity=0.5, granularity=Filters()).start(Network(), Regression(), epochs=0)
    model = run.finish()
    gone = (model.first.lin.weight == 0).all(1)
    assert int(gone.sum()) == 3
    assert torch.equal(model.first.bias == 0, gone)
    assert model.second.lin.weight.all()
