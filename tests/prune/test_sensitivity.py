"""Budgets by a scan of the loss, against a scan by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.errors import SettingError
from gossamer.prune import DropAndGrow, HardMasks, OneShot, Sensitivity
from gossamer.prune.selection import Groups, kept
from gossamer.prune.sensitivity import Curves
from tests.prune.toy import Regression, network


def groups(count: int) -> Groups:
    return Groups("a", (count, 1), torch.rand(count), torch.ones(count, dtype=torch.int64))


def test_layers_share_one_rise_by_hand() -> None:
    """Where the loss rises as 1·s and as 4·s, one rise of 0.8 makes sparsities of 0.8 and 0.2: together a half."""
    curves = Curves(levels=(0.5, 0.99), rises=((0.5, 0.99), (2.0, 3.96)))
    assert curves.budgets([groups(100), groups(100)], 0.5) == [20, 80]
    assert curves.budgets([groups(100), groups(100)], 0.0) == [100, 100]
    falling = Curves(levels=(0.5, 0.9), rises=((-1.0, -2.0), (5.0, 9.0)))  # a layer that is better without
    few, many = falling.budgets([groups(100), groups(100)], 0.45)
    assert few + many == 110
    assert few <= 11


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.lists(st.floats(-1.0, 9.0), min_size=3, max_size=3)), min_size=1, max_size=5
    ),
    st.floats(0.0, 0.99),
)
def test_totals_are_exact_and_no_layer_dies(layers: list[tuple[int, list[float]]], sparsity: float) -> None:
    curves = Curves(levels=(0.3, 0.6, 0.9), rises=tuple(tuple(rises) for _, rises in layers))
    budgets = curves.budgets([groups(count) for count, _ in layers], sparsity)
    total = sum(count for count, _ in layers)
    assert sum(budgets) == max(kept(total, sparsity), len(layers))
    assert all(1 <= budget <= count for budget, (count, _) in zip(budgets, layers, strict=True))


def test_the_scan_prunes_each_layer_alone_and_puts_it_back() -> None:
    torch.manual_seed(0)
    task, model = Regression(), network()
    before = copy.deepcopy(model.state_dict())
    levels = (0.5, 0.9)
    method = HardMasks(sparsity=0.5, allocation=Sensitivity(levels=levels), schedule=OneShot(at=0.0), batches=2)
    batches = list(task.batches("train"))[:2]

    def loss(layer: int | None, level: float) -> float:
        pruned = copy.deepcopy(model)
        if layer is not None:
            weight = pruned[layer].weight.data
            smallest = weight.abs().flatten().argsort()[: weight.numel() - kept(weight.numel(), level)]
            weight.view(-1)[smallest] = 0.0
        with torch.no_grad():
            return sum(float(task.loss(pruned, batch)) for batch in batches) / 2

    expected = Curves(
        levels=levels, rises=tuple(tuple(loss(layer, level) - loss(None, 0.0) for level in levels) for layer in (0, 2))
    )
    run = method.start(copy.deepcopy(model), task, epochs=0)
    found = {name: int(mask.sum()) for name, mask in run.masks.items()}
    assert list(found.values()) == expected.budgets([groups(240), groups(80)], 0.5)
    assert sum(found.values()) == 160
    for layer in (0, 2):
        mask = run.masks[f"{layer}.weight"]
        assert torch.equal(run.model[layer].weight[mask], before[f"{layer}.weight"][mask])
    assert run.training_cost() == pytest.approx(3 * run._share.of(run._masks) + 2 * (2 * 2 + 1))


def test_others_refuse_it_and_levels_must_rise() -> None:
    with pytest.raises(SettingError, match="only 'hard-masks' lets it do"):
        DropAndGrow(allocation=Sensitivity()).start(network(), Regression(), epochs=1)
    with pytest.raises(SettingError, match="expected at least one, each above the last"):
        Sensitivity(levels=(0.9, 0.5))
    assert isinstance(HardMasks(allocation=Sensitivity()).start(network(), Regression(), epochs=0).finish(), nn.Module)
