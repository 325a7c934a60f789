"""Removal: tensors, gradients and optimiser state are cut alike, and training goes on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gossamer.errors import ModelError
from gossamer.structure import Cut, NewSize, Removal, plan
from gossamer.structure.removal import parse_ranges, ranges


@given(st.sets(st.integers(0, 30)))
def test_ranges_go_to_text_and_back(positions: set[int]) -> None:
    tensor = torch.tensor(sorted(positions), dtype=torch.int64)
    assert torch.equal(parse_ranges(ranges(tensor)), tensor)


def test_what_is_no_range_is_refused() -> None:
    with pytest.raises(ModelError, match="are no positions"):
        parse_ranges("0-x")


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.Adagrad])
def test_training_goes_on_as_if_the_units_had_been_zero(kind: type[torch.optim.Optimizer]) -> None:
    """The small network takes the steps that the whole one takes with those units at zero, and their gradients."""
    torch.manual_seed(0)
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    networks = [nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).double() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    optimizers = [kind(network.parameters(), lr=0.01, **options) for network in networks]  # type: ignore[call-arg]
    x = torch.randn(16, 3, dtype=torch.float64)
    losses = []
    for network, optimizer in zip(networks, optimizers, strict=True):
        for _ in range(3):
            optimizer.zero_grad()
            losses.append(network(x).square().mean())  # kept, as a user's loop keeps the last one
            losses[-1].backward()
            optimizer.step()
    found = plan(networks[0], x)
    found.apply_(networks[0], optimizers[0])
    keep = parse_ranges(found.groups[0].keep)
    gone = [unit for unit in range(8) if unit not in keep.tolist()]
    for _ in range(3):
        for network, optimizer in zip(networks, optimizers, strict=True):
            if network is networks[1]:
                with torch.no_grad():
                    network[0].weight[gone], network[0].bias[gone], network[2].weight[:, gone] = 0, 0, 0
            optimizer.zero_grad()
            loss = network(x).square().mean()
            loss.backward()
            optimizer.step()
    torch.testing.assert_close(networks[0][0].weight, networks[1][0].weight[keep])
    torch.testing.assert_close(networks[0][2].weight, networks[1][2].weight[:, keep])


def test_gradients_are_cut_and_parameters_stay_the_same_objects() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    network(torch.randn(2, 3)).sum().backward()
    weight, gradient = network[0].weight, network[0].weight.grad.clone()
    removal = Removal(
        cuts=(
            Cut(tensor="0.weight", dim=0, size=4, keep="1,3"),
            Cut(tensor="0.bias", dim=0, size=4, keep="1,3"),
            Cut(tensor="1.weight", dim=1, size=4, keep="1,3"),
        ),
        sizes=(NewSize(module="0", attribute="out_features", value=2),),
    )
    assert Removal.from_json(removal.to_json()) == removal
    removal.apply_(network)
    assert network[0].weight is weight
    assert torch.equal(network[0].weight.grad, gradient[[1, 3]])
    assert network[0].out_features == 2


def test_state_of_another_shape_begins_anew() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    optimizer.state[network[0].weight] = {"rows": torch.zeros(4), "step": torch.tensor(1.0)}
    optimizer.state[network[0].bias] = {"momentum": torch.arange(4.0), "step": 3}
    plan(network, torch.randn(2, 3)).apply_(network, optimizer)
    assert not optimizer.state[network[0].weight]
    assert optimizer.state[network[0].bias]["momentum"].shape == (2,)
    assert optimizer.state[network[0].bias]["step"] == 3


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (Cut(tensor="nothing", dim=0, size=4, keep="1"), "has no parameter or buffer 'nothing'"),
        (Cut(tensor="weight", dim=0, size=5, keep="1"), "expected 5 positions in dimension 0"),
        (Cut(tensor="weight", dim=2, size=4, keep="1"), "in dimension 2"),
    ],
)
def test_a_removal_that_does_not_fit_is_refused(cut: Cut, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Removal(cuts=(cut,)).apply_(nn.Linear(3, 4))


def test_an_attribute_that_is_not_there_is_refused() -> None:
    removal = Removal(cuts=(), sizes=(NewSize(module="", attribute="heads", value=2),))
    with pytest.raises(ModelError, match="has no attribute 'heads'"):
        removal.apply_(nn.Linear(3, 4))
