"""Hand-written networks of one pattern each: the groups worked out by hand, and removed equals masked."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gossamer
from gossamer.structure import Plan, plan
from gossamer.structure.plan import arguments
from gossamer.structure.sizes import read
from gossamer.structure.twin import difference, outputs
from tests.structure.networks import PATTERNS, Pattern

each = pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
AVERAGING = {"perceptron", "depthwise", "attention", "grouped"}  # a norm averages over units that go


def made(pattern: Pattern) -> tuple[nn.Module, Any, Plan]:
    torch.manual_seed(0)
    network = pattern.make().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias)
    example = pattern.example()
    return network, example, plan(network, example)


@each
def test_finds_the_groups_and_changes_the_attributes_worked_out_by_hand(pattern: Pattern) -> None:
    _, _, found = made(pattern)
    assert {group.name: group.units for group in found.groups} == pattern.groups
    assert not found.unknown
    sizes = {f"{size.module}.{size.attribute}".strip("."): size.value for size in found.removal.sizes}
    assert pattern.sizes.items() <= sizes.items()
    assert found.difference is not None
    assert found.difference < 1e-5


@pytest.mark.parametrize("pattern", [one for one in PATTERNS if one.name not in AVERAGING], ids=lambda one: one.name)
def test_computes_what_the_network_with_zeros_computes(pattern: Pattern) -> None:
    network, example, found = made(pattern)
    args, kwargs = arguments(example)
    masked = copy.deepcopy(network)
    tensors = dict(masked.named_parameters()) | dict(masked.named_buffers())
    with torch.no_grad():
        for cut in found.removal.cuts:
            keep = torch.zeros(cut.size)
            keep[cut.positions()] = 1
            tensor = tensors[cut.tensor]
            tensor.mul_(keep.view([-1 if dim == cut.dim else 1 for dim in range(tensor.dim())]))
    expected = outputs(masked, args, kwargs)
    assert difference(outputs(found.apply(network), args, kwargs), expected) < 1e-5


@each
def test_copies_keep_their_class_train_and_come_back_from_a_file(pattern: Pattern, tmp_path: Path) -> None:
    network, example, found = made(pattern)
    args, kwargs = arguments(example)
    before = copy.deepcopy(network.state_dict())
    small = found.apply(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert type(small) is type(network)
    results = outputs(small, args, kwargs)
    assert [item.shape for item in results] == [item.shape for item in outputs(network, args, kwargs)]

    untouched = pattern.make()
    again = gossamer.load(gossamer.save(tmp_path / "net", small), model=untouched)
    assert difference(outputs(again, args, kwargs), results) == 0

    small.train()
    optimizer = torch.optim.Adam(small.parameters(), lr=1e-3)
    value = small(*args, **kwargs)
    (value["out"][0] if isinstance(value, dict) else value).square().mean().backward()
    optimizer.step()


def test_pruning_twice_is_saved_as_two_changes(tmp_path: Path) -> None:
    pattern = PATTERNS[1]
    network, example, found = made(pattern)
    small = found.apply(network)
    smaller = plan(small, example).apply(small)
    again = gossamer.load(gossamer.save(tmp_path / "net", smaller), model=pattern.make())
    assert difference(outputs(again, (example,), {}), outputs(smaller, (example,), {})) == 0
    assert smaller.stem.weight.shape[0] == 2


def test_a_shared_weight_is_cut_once_and_stays_shared() -> None:
    network, _, found = made(next(pattern for pattern in PATTERNS if pattern.name == "tied"))
    small = found.apply(network)
    assert small.head.weight is small.table.weight
    assert small.table.weight.shape == (11, 4)


def test_a_shared_configuration_is_not_changed_for_others() -> None:
    network, _, found = made(next(pattern for pattern in PATTERNS if pattern.name == "attention"))
    config = network.config
    small = found.apply_(network)
    assert (config.heads, small.config.heads) == (4, 2)
    assert read(small, ("config", "heads")) == 2
