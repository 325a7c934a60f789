"""What every registered method must satisfy, on every network; a new method joins by being registered."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gossamer
from gossamer.compression import Method, compress, methods
from gossamer.deploy import FactorizeLayer, changes
from gossamer.errors import ModelError, SettingError
from gossamer.prune.weights import prunable_weights
from gossamer.settings import Settings
from gossamer.tasks import Task
from gossamer.train import Training
from tests.battery.networks import NETWORKS, Network

TRAINING = Training(epochs=4, patience=None, keep_best=False)  # the last weights: those of the last masks
NAMES = sorted(methods())
CONVOLUTIONAL = {"crelu", "depthwise-separable", "multi-bias", "rotated"}  # methods for convolutions only


def refusal(name: str, network: Network) -> str:
    """Returns what a method says of a network or a task that it is not for; "" where it is for it."""
    if methods()[name].method.needs_graph and not network.graph:
        return r"no graph.*take a task on a graph"
    if name in CONVOLUTIONAL and network.name != "cnn":
        return "no layer of this model"
    if name == "h2spg" and network.name != "transformer":
        return "no operator of .* can be erased"
    if name == "drop-blocks" and network.name != "transformer":
        return "it has no residual branch"
    if name == "merge-layers" and network.name != "mlp":
        return "nothing can be left out"
    return ""


PAIRS = [(name, network) for name in NAMES for network in NETWORKS]
FITTING = [pair for pair in PAIRS if not refusal(*pair)]
each_method = pytest.mark.parametrize("name", NAMES)
each_method_on_each_network = pytest.mark.parametrize(
    ("name", "network"), FITTING, ids=[f"{network.name}-{name}" for name, network in FITTING]
)


def brisk(name: str) -> Method:
    """Returns the method, an update period made for long training cut to every step, so that few steps meet it."""
    method = methods()[name].method
    return method.replace(every=1) if "every" in {field.name for field in dataclasses.fields(method)} else method


def shrink(network: Network, method: Method, **options: Any) -> gossamer.Compressed:
    torch.manual_seed(0)
    return compress(
        network.model(),
        network.task(),
        method,
        **({"training": TRAINING, "latency": False, "accelerate": False, "progress": False} | options),
    )


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def assert_same_edges(left: Task, right: Task) -> None:
    for one, other in zip(left.graphs(), right.graphs(), strict=True):
        assert torch.equal(one.to_edge_index(), other.to_edge_index())
        assert (one.weights is None) == (other.weights is None)
        assert one.weights is None or torch.equal(one.weights, other.weights)


def output(model: nn.Module, task: Task) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        result = model(*task.example())
    assert isinstance(result, torch.Tensor)
    return result


def structure(model: nn.Module) -> list[tuple[str, type, dict[str, tuple[int, ...]]]]:
    """Returns the place, the class and the shapes of the own parameters and buffers of every module."""
    return [
        (path, type(module), {name: tuple(value.shape) for name, value in own(module)})
        for path, module in model.named_modules()
    ]


def own(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def assert_smaller(model: nn.Module, result: gossamer.Compressed, method: Method) -> None:
    """Holds a method that replaces layers to its sparsity, in weights that are gone, unless it says it fell short."""
    known = [weight.weight for weight in prunable_weights(model)]
    prunable = sum(weight.numel() for weight in known if method.name not in CONVOLUTIONAL or weight.dim() > 2)
    gone = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in result.model.parameters())
    wanted = int(method.to_json()["sparsity"] * prunable)
    assert gone > 0
    assert gone >= wanted or any("less than" in note for note in result.notes), "removed less than was asked for"
    assert gone <= wanted + 0.1 * prunable, "removed more than was asked for"
    assert all(parameter.requires_grad for parameter in result.model.parameters())


@each_method_on_each_network
def test_compresses_exactly_and_leaves_its_input_alone(name: str, network: Network) -> None:
    torch.manual_seed(0)
    model, task, method = network.model(), network.task(), brisk(name)
    target = method.start(copy.deepcopy(model), task, epochs=0).target_nonzeros()
    before, state = weights(model), torch.get_rng_state()
    result = compress(model, task, method, training=TRAINING, latency=False, accelerate=False, progress=False)
    assert_same(before, weights(model))
    assert torch.equal(state, torch.get_rng_state()), "the caller's random state was used up"

    replaced = changes.found(result.model)
    again = changes.apply(replaced, copy.deepcopy(model))  # the record says all there is to say of the structure
    assert (structure(model) != structure(again)) == bool(replaced)
    assert structure(result.model) == structure(again)
    if any(isinstance(change, FactorizeLayer) for change in replaced) and method.knob == "sparsity":
        assert_smaller(model, result, method)
    for module in result.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not hasattr(module, "parametrizations")
    if target is not None:
        kept = sum(int(value.count_nonzero()) for key, value in weights(result.model).items() if key in target)
        assert kept <= sum(target.values())
        # A weight grown at the last update may not have left zero yet.
        assert kept >= 0.9 * sum(target.values()), "removed more than was asked for"
    assert all(torch.isfinite(value).all() for value in result.model.state_dict().values())


@each_method_on_each_network
def test_same_seed_same_result_and_resumes_exactly(
    name: str, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = brisk(name)
    straight = shrink(network, method, seed=3)
    again = shrink(network, method, seed=3)
    assert_same(weights(straight.model), weights(again.model))
    assert_same_edges(straight.task, again.task)

    class Killed(Exception):  # noqa: N818  a kill is not an error
        pass

    steps, stop = 0, network.task().steps() * TRAINING.epochs // 2 + 1
    kind = type(network.task())  # of the class: a method may train on a task of its own that asks this one
    plain_loss = kind.loss

    def loss(self: Task, model: nn.Module, batch: Any) -> torch.Tensor:
        nonlocal steps
        steps += model.training
        if steps > stop:
            raise Killed
        return plain_loss(self, model, batch)

    options = {"seed": 3, "checkpoint": tmp_path, "training": TRAINING.replace(checkpoint_minutes=0.0)}
    with monkeypatch.context() as patch:
        patch.setattr(kind, "loss", loss)
        with pytest.raises(Killed):
            shrink(network, method, **options)
    resumed = shrink(network, method, **options)
    assert_same(weights(straight.model), weights(resumed.model))
    assert_same_edges(straight.task, resumed.task)


@each_method_on_each_network
def test_saves_loads_and_accelerates_to_the_same_network(name: str, network: Network, tmp_path: Path) -> None:
    result = shrink(network, brisk(name), training=TRAINING.replace(epochs=1), accelerate=True)
    task = result.task
    expected = output(result.model, task)
    torch.testing.assert_close(output(result.deployed, task), expected, rtol=1e-4, atol=1e-5)
    result.save(tmp_path / "model.gossamer")
    torch.manual_seed(99)
    again = gossamer.load(tmp_path / "model.gossamer", model=network.model())
    assert_same(weights(result.model), weights(again))
    assert_same_edges(task, gossamer.load_task(tmp_path / "model.gossamer", network.task()))
    assert structure(again) == structure(result.model)
    assert torch.equal(output(again, task), expected)
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "network"), [pair for pair in PAIRS if pair not in FITTING], ids=lambda one: getattr(one, "name", one)
)
def test_what_is_for_other_networks_says_so(name: str, network: Network) -> None:
    with pytest.raises(ModelError, match=refusal(name, network)):
        shrink(network, brisk(name))


@each_method
def test_settings_go_to_json_and_back(name: str) -> None:
    method = methods()[name].method
    text = json.dumps(method.to_json())
    assert Method.from_json(json.loads(text)) == method
    hash(method)
    with pytest.raises(SettingError, match=r"did you mean|unknown setting"):
        Method.from_json(json.loads(text) | {"sparsityy": 0.5})


def outside(settings: Settings) -> list[tuple[Settings, str, float]]:
    """Lists (settings, field, value just outside its range), nested settings included."""
    found: list[tuple[Settings, str, float]] = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, Settings):
            found += outside(value)
        bounds = field.metadata.get("bounds", {})
        whole = isinstance(value, int)
        for side, limit in bounds.items():
            down, up = (
                (limit - 1, limit + 1) if whole else (math.nextafter(limit, -math.inf), math.nextafter(limit, math.inf))
            )
            found.append((settings, field.name, {"ge": down, "gt": limit, "le": up, "lt": limit}[side]))
        if bounds and not whole:
            found.append((settings, field.name, math.nan))
    return found


@each_method
def test_settings_out_of_range_are_refused_by_name(name: str) -> None:
    method = methods()[name].method
    cases = outside(method)
    assert cases or not dataclasses.fields(method)
    for settings, field, value in cases:
        with pytest.raises(SettingError, match=field):
            settings.replace(**{field: value})


@each_method
def test_the_registry_says_what_it_is(name: str) -> None:
    named = methods()[name]
    assert named.summary.endswith(".")
    assert "\n" not in named.summary
    assert not named.method.knob or named.method.knob in {field.name for field in dataclasses.fields(named.method)}
