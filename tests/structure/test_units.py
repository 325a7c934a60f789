"""Sums over the weights of units against loops, and which weights make a unit and which use it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from torch import nn

from gossamer.models import build
from gossamer.structure import Group, Member, UnitWeights, groups, trace
from gossamer.structure.units import making, using, whole


def test_products_norms_and_factors_are_those_of_each_units_weights() -> None:
    torch.manual_seed(0)
    units = torch.tensor([0, 0, -1, 2, 1, 1])  # a dimension in which units have two, two and one positions
    weights = UnitWeights(3, [Member("a", 1, units), Member("b", 0, torch.arange(3))])
    one = {"a": torch.randn(4, 6), "b": torch.randn(3, 2)}
    other = {"a": torch.randn(4, 6), "b": torch.randn(3, 2)}
    expected = torch.stack(
        [(one["a"] * other["a"])[:, units == unit].sum() + (one["b"] * other["b"])[unit].sum() for unit in range(3)]
    )
    torch.testing.assert_close(weights.products(one, other), expected)
    torch.testing.assert_close(weights.norms(one), weights.products(one, one).sqrt())
    scaled = {name: value.clone() for name, value in one.items()}
    weights.scale_(scaled, torch.tensor([2.0, 0.5, -1.0]))
    assert torch.equal(scaled["a"][:, 2], one["a"][:, 2])
    torch.testing.assert_close(scaled["a"][:, 4], 0.5 * one["a"][:, 4])
    torch.testing.assert_close(scaled["b"], one["b"] * torch.tensor([[2.0], [0.5], [-1.0]]))
    weights.silence_(scaled, torch.tensor([True, False, False]))
    assert not scaled["a"][:, :2].any()
    assert not scaled["b"][0].any()
    assert bool(scaled["a"][:, 2:].all())


def test_the_norm_of_zeros_has_a_gradient_of_zero() -> None:
    values = torch.zeros(2, 3, requires_grad=True)
    UnitWeights(2, [Member("w", 0, torch.arange(2))]).norms({"w": values}).sum().backward()
    assert torch.equal(values.grad, torch.zeros(2, 3))


def found(model: nn.Module, *args: Any) -> dict[str, Group]:
    return {group.name: group for group in groups(trace(model, args)) if not group.refused}


@pytest.mark.parametrize(
    ("model", "args", "name", "makes", "uses"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)),
            (torch.randn(2, 3, 4, 4),),
            "0.weight:0",
            {("0.weight", 0), ("0.bias", 0), ("1.weight", 0), ("1.bias", 0)},
            {("4.weight", 1)},
        ),
        (
            nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1)),
            (torch.randn(2, 3, 4, 4),),
            "0.weight:1",
            {("0.weight", 1), ("0.bias", 0), ("2.weight", 0), ("2.bias", 0)},
            {("3.weight", 1)},
        ),
        (
            pyg.GraphSAGE(6, 8, 2, 3),
            (torch.randn(5, 6), torch.tensor([[0, 1, 2], [1, 2, 3]])),
            "convs.0.lin_l.weight:0",
            {("convs.0.lin_l.weight", 0), ("convs.0.lin_l.bias", 0), ("convs.0.lin_r.weight", 0)},
            {("convs.1.lin_l.weight", 1), ("convs.1.lin_r.weight", 1)},
        ),
    ],
    ids=["cnn", "transposed and depthwise", "sage"],
)
def test_rows_make_a_unit_and_columns_use_it(
    model: nn.Module, args: tuple[Any, ...], name: str, makes: set[tuple[str, int]], uses: set[tuple[str, int]]
) -> None:
    group, parameters = found(model, *args)[name], dict(model.named_parameters())

    def places(weights: UnitWeights) -> set[tuple[str, int]]:
        return {(member.tensor, member.dim) for member in weights.members}

    assert places(making(group, parameters)) == makes
    assert places(using(group, parameters)) == uses
    assert places(whole(group, parameters)) == makes | uses


def test_a_residual_stream_is_made_and_used_many_times() -> None:
    model = build("resnet20", in_channels=3, classes=10)
    group = found(model, torch.zeros(1, 3, 32, 32))["conv.weight:0"]
    used = {member.tensor for member in using(group, dict(model.named_parameters())).members}
    assert {"blocks.0.conv1.weight", "blocks.3.conv1.weight", "linear.weight"} <= used
    assert not any("conv2" in name or "norm" in name for name in used)
