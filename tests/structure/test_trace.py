"""What a trace does where it cannot know: it freezes, and says so."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.structure import groups, plan, trace


class Between(nn.Module):
    """A linear layer, something, and a linear layer."""

    def __init__(self, middle: Any) -> None:
        super().__init__()
        self.first, self.last, self.width = nn.Linear(3, 8), nn.Linear(8, 2), 8
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self, self.first(x).relu()))


def refusal(middle: Any) -> str:
    with pytest.raises(ModelError, match="nothing can be removed") as caught:
        plan(Between(middle), torch.randn(4, 3))
    return str(caught.value)


def removed(middle: Any) -> dict[str, int]:
    found = plan(Between(middle), torch.randn(4, 3))
    assert found.difference is not None
    assert found.difference < 1e-5
    return {group.name: group.kept for group in found.groups}


def test_an_operator_without_a_rule_is_named_and_nothing_it_touches_goes() -> None:
    network = Between(lambda _, h: torch.linalg.qr(h.T @ h).R @ h.mean(0) + h)
    assert "linalg_qr, called in Between, has no rule" in refusal(network.middle)
    assert dict(trace(network, (torch.randn(4, 3),)).unknown) == {"linalg_qr": 1}


def test_a_size_written_as_a_number_is_refused() -> None:
    assert "its size, 8, is written as a number in Between" in refusal(lambda _, h: h.view(-1, 8))


@pytest.mark.parametrize(
    "middle",
    [
        lambda net, h: h.view(-1, net.width),
        lambda net, h: h.reshape(h.shape[0], net.width // 2, 2).flatten(1),
        lambda _, h: h.view(h.size(0), h.size(1)),
        lambda net, h: h + torch.zeros(net.width),
        lambda net, h: h.unflatten(1, (net.width, 1)).squeeze(2),
        lambda net, h: torch.cat([h[:, net.width // 2 :], h[:, : net.width // 2]], 1),
    ],
    ids=["attribute", "formula", "size", "zeros", "unflatten", "halves"],
)
def test_sizes_that_follow_do_not_stand_in_the_way(middle: Any) -> None:
    network = Between(middle)
    found = plan(network, torch.randn(4, 3))
    assert found.apply(network).first.weight.shape == (4, 3)


@pytest.mark.parametrize(
    "middle",
    [
        lambda net, h: h / math.sqrt(net.width) + 0 * h.view(-1, net.width),
        lambda _, h: h / h.shape[-1],
        lambda _, h: h * torch.tensor(h.shape[-1]).sqrt(),
        lambda _, h: h * torch.full((), h.shape[-1]),
        lambda _, h: h.sum(-1, keepdim=True) / h.size(1) + h,
        lambda _, h: h * h.shape[-1] ** -0.5,
    ],
    ids=["attribute", "division", "tensor", "full", "mean", "power"],
)
def test_a_size_whose_value_is_computed_with_is_refused(middle: Any) -> None:
    assert "its size is used as a number in Between" in refusal(middle)


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (lambda _, h: h.softmax(-1), "softmax runs along it"),
        (lambda _, h: h + h.amax(-1, keepdim=True), "amax is taken over it"),
        (lambda _, h: h + h[:, 2:3] * h[:, 2].sum(), "taken by its number"),
        (lambda _, h: h.sort(-1).values, "it is sorted"),
        (lambda _, h: h[:, torch.arange(8)], "looked up by number"),
        (lambda _, h: h.cumsum(1), "cumsum runs along it"),
        (lambda _, h: h[:, ::2].repeat(1, 2), "with gaps"),
        (lambda _, h: h * torch.ones(8), "is written as a number"),
    ],
    ids=["softmax", "maximum", "select", "sort", "index", "cumsum", "gaps", "constant"],
)
def test_what_depends_on_all_positions_is_refused_with_its_reason(middle: Any, reason: str) -> None:
    assert reason in refusal(middle)


def test_a_decision_that_compares_sizes_stays_the_same() -> None:
    assert removed(lambda net, h: h if h.shape[1] >= net.width else h.new_zeros(len(h), net.width)) == {
        "first.weight:0": 4
    }


def test_sizes_that_depend_on_data_are_traced() -> None:
    assert removed(lambda _, h: h[h.sum(-1) > 0] * 2) == {"first.weight:0": 4}


def test_units_that_nothing_uses_stay() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places, self.first, self.last = nn.Parameter(torch.randn(16, 8)), nn.Linear(3, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x) + self.places[: x.shape[0]])

    found = plan(Table(), torch.randn(4, 3))
    assert found.refused["places:0+4"] == "nothing sums over it in this run"
    assert found.apply(Table()).places.shape == (16, 4)


def test_nothing_is_left_on_the_example_or_the_network() -> None:
    network, example = Between(lambda net, h: h.view(-1, net.width)), torch.randn(4, 3)
    plan(network, example)
    assert type(network.width) is int
    assert not hasattr(example, "_axes")
    assert not any(hasattr(parameter, "_axes") for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_group_knows_the_positions_of_its_units() -> None:
    network = nn.Sequential(nn.Conv1d(1, 2, 1), nn.Flatten(), nn.Linear(6, 1))
    first = next(group for group in groups(trace(network, (torch.randn(1, 1, 3),))) if not group.refused)
    assert {(member.tensor, member.dim): member.units.tolist() for member in first.members} == {
        ("0.weight", 0): [0, 1],
        ("0.bias", 0): [0, 1],
        ("2.weight", 1): [0, 0, 0, 1, 1, 1],
    }


def test_a_network_that_does_not_run_is_an_error() -> None:
    with pytest.raises(ModelError, match="does not run on the example"):
        trace(nn.Linear(3, 2), (torch.randn(2, 5),))


def test_a_network_that_refuses_sizes_that_are_no_plain_ints_is_traced_without() -> None:
    def middle(net: Any, h: Tensor) -> Tensor:
        if type(net.width) is not int:
            raise TypeError("expected int")
        return h

    assert removed(middle) == {"first.weight:0": 4}
