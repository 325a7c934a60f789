"""Dead-neuron rates against counts made by hand, by plain loops, and by looking at the weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.dead_neurons import dead_neurons
from gossamer.errors import ModelError
from gossamer.tasks.task import Split, Task
from tests.battery.networks import NETWORKS


class Rows(Task):
    """Shows a network some tensors, one a batch."""

    name, metric = "rows", "none"

    def __init__(self, *inputs: Tensor) -> None:
        self.inputs = inputs

    def steps(self) -> int:
        return len(self.inputs)

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
        yield from self.inputs

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return model(batch).sum()

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        return {"none": 0.0}

    def example(self) -> tuple[Any, ...]:
        return (self.inputs[0],)

    def examples_per_step(self) -> float:
        return 1.0

    def to(self, device: torch.device | str) -> Rows:
        return self


def layer(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    made = nn.Linear(len(weight[0]), len(weight))
    with torch.no_grad():
        made.weight.copy_(torch.tensor(weight))
        made.bias.copy_(torch.tensor(bias))
    return made


def test_by_hand() -> None:
    # Neurons: x; -x; pruned and shut; pruned but held open by its bias; never above zero for these inputs.
    model = nn.Sequential(
        layer([[1.0], [-1.0], [0.0], [0.0], [1.0]], [0.0, 0.0, -1.0, 1.0, -9.0]),
        nn.ReLU(),
        nn.Linear(5, 1),
    )
    found = dead_neurons(model, Rows(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [-1.0]])))
    (only,) = found.layers
    assert (only.after, only.neurons, only.static, only.silent) == ("0", 5, 1, 1)
    # Of four inputs, x is zero once, -x three times, the last neuron always.
    assert only.dynamic == pytest.approx((1 + 3 + 4) / 4)
    assert (found.static, found.dynamic, found.strict) == pytest.approx((1 / 5, 2 / 5, 1 / 5))
    assert found.to_json() == {"static": found.static, "dynamic": found.dynamic, "strict": found.strict}


def test_batches_and_splits_are_as_asked() -> None:
    model = nn.Sequential(layer([[1.0]], [0.0]), nn.ReLU())
    task = Rows(torch.tensor([[-1.0]]), torch.tensor([[1.0]]))
    assert dead_neurons(model, task, batches=1).strict == 1.0
    assert dead_neurons(model, task).dynamic == 0.5


def test_what_is_behind_pruned_neurons_is_cut_off_too() -> None:
    first = layer([[1.0], [0.0]], [0.0, -1.0])
    second = layer([[0.0, 1.0], [1.0, 0.0]], [-1.0, 0.0])  # the first neuron hears only of one that is cut off
    found = dead_neurons(nn.Sequential(first, nn.ReLU(), second, nn.ReLU()), Rows(torch.ones(3, 1)))
    assert [layer.static for layer in found.layers] == [1, 1]
    assert found.static == 0.5


@pytest.mark.parametrize("inplace", [False, True])
def test_places_and_channels_of_a_convolution(inplace: bool) -> None:
    conv = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1, 1))
        conv.bias.zero_()
    x = torch.tensor([[[[1.0, -1.0]]], [[[1.0, 2.0]]]])  # two images of two places
    model, task = nn.Sequential(conv, nn.ReLU(inplace=inplace)), Rows(x)
    places = dead_neurons(model, task)
    # Channel 0: places are zero 0 and 1 of 2 times; channel 1: 2 and 1; channel 2 is cut off in both.
    assert (places.layers[0].neurons, places.layers[0].static, places.layers[0].silent) == (6, 2, 1)
    assert places.dynamic == pytest.approx((0 + 1 + 2 + 1) / 2 / 6)
    channels = dead_neurons(model, task, neuron="channel")
    # Channel 0 fires in both images, channel 1 in the first, channel 2 never.
    assert (channels.layers[0].neurons, channels.layers[0].static, channels.layers[0].silent) == (3, 1, 0)
    assert channels.dynamic == pytest.approx(1 / 2 / 3)


def test_images_of_different_sizes_have_channels_but_no_places() -> None:
    model, task = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()), Rows(torch.rand(1, 1, 2, 2), torch.rand(1, 1, 3, 3))
    with pytest.raises(ModelError, match="neuron='channel'"):
        dead_neurons(model, task)
    assert dead_neurons(model, task, neuron="channel").layers[0].neurons == 2


class Functional(nn.Module):
    """ReLU in all the ways there are to write it, with a shortcut, after a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm(self.one(x)))
        out = out + torch.relu(self.two(out))
        return self.three(out).relu_()


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_cut_off_are_those_that_no_path_of_weights_reaches(seed: int) -> None:
    torch.manual_seed(seed)
    model = Functional()
    reach = [torch.ones(4, dtype=torch.bool)]
    with torch.no_grad():
        for linear in (model.one, model.two, model.three):
            linear.weight.mul_(torch.rand_like(linear.weight) < 0.25)
            linear.bias.fill_(-1e-3)
        model.norm.bias.fill_(-1e-3)  # what is reached by nothing stays below zero
    reach = (model.one.weight != 0).any(1)
    second = (model.two.weight[:, reach] != 0).any(1)
    both = reach | second
    third = (model.three.weight[:, both] != 0).any(1)
    found = dead_neurons(model.eval(), Rows(torch.randn(20, 4)))
    assert [layer.static for layer in found.layers] == [int((~reached).sum()) for reached in (reach, second, third)]
    assert [layer.after for layer in found.layers] == ["one", "two", "three"]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_any_network_with_relu_is_measured_and_left_as_it_was(network: Any) -> None:
    torch.manual_seed(0)
    model, task = network.model().train(), network.task()
    before, chance = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    found = dead_neurons(model, task, batches=2)
    assert found.layers
    assert found.static == 0.0
    assert 0.2 < found.dynamic < 0.8
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(chance, torch.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_mean_over_inputs_is_that_of_a_plain_count() -> None:
    torch.manual_seed(0)
    network = NETWORKS[1]
    model, task = network.model().eval(), network.task()
    zeros: list[float] = []
    sizes: list[int] = []

    def count(module: nn.Module, args: Any, out: Tensor) -> None:
        zeros.append(float((out == 0).double().flatten(1).sum(1).mean()))
        sizes.append(out[0].numel())

    handles = [module.register_forward_hook(count) for module in model if isinstance(module, nn.ReLU)]
    (x, _), *_ = task.batches("val")
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    assert dead_neurons(model, task, split="val").dynamic == pytest.approx(sum(zeros) / sum(sizes))


def test_a_network_without_relu_has_no_dead_neurons() -> None:
    found = dead_neurons(nn.Sequential(nn.Linear(3, 3), nn.GELU()), Rows(torch.randn(2, 3)))
    assert found.layers == ()
    assert found.to_json() == {"static": 0.0, "dynamic": 0.0, "strict": 0.0}
