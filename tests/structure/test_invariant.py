"""Which weights must be zero for a unit to be cut out, found by trying."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.structure.invariant import Invariants


def members(model: nn.Module, *shape: int) -> list[set[tuple[str, int]]]:
    found = Invariants(model, torch.randn(*shape)).found
    return [{(member.tensor, member.dim) for member in one.weights.members} for one in found]


def test_behind_a_relu_the_rows_are_enough() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))
    assert members(model, 3, 5) == [{("0.weight", 0), ("0.bias", 0)}]


def test_a_norm_takes_part_with_scale_and_shift() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    assert members(model, 3, 5) == [{("0.weight", 0), ("0.bias", 0), ("1.weight", 0), ("1.bias", 0)}]


@pytest.mark.parametrize("between", [nn.Sigmoid(), nn.BatchNorm1d(6, affine=False)], ids=["sigmoid", "plain norm"])
def test_where_zeros_are_not_silent_the_columns_are_zero_too(between: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(5, 6), between, nn.Linear(6, 2))
    assert members(model, 3, 5) == [{("0.weight", 0), ("0.bias", 0), ("2.weight", 1)}]


def test_units_that_a_norm_averages_over_are_in_no_group() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    invariants = Invariants(model, torch.randn(3, 5))
    assert [one.group.name for one in invariants.found] == ["2.weight:0"]
    assert invariants.refused["0.weight:0"] == "zeros in the weights of its units do not silence them"


def test_the_network_is_left_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Invariants(model, torch.randn(3, 5))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_without_units_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing can be removed"):
        Invariants(nn.Linear(4, 2), torch.randn(3, 4))
