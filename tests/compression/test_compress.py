from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from gossamer.compression import Compression, Method, compress, method
from gossamer.cost import Budget
from gossamer.errors import ModelError, SettingError
from gossamer.settings import bounded
from gossamer.tasks import Task
from gossamer.timing import Timing
from gossamer.train import Training
from tests.battery.networks import NETWORKS

QUICK = {"latency": False, "accelerate": False, "progress": False}
MLP = NETWORKS[0]


@dataclass(frozen=True, kw_only=True)
class Scale(Method):
    """Doubles every weight: a method whose effect can be told from any other."""

    started: ClassVar[list[int]] = []

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> Compression:
        del task
        self.started.append(epochs)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(2)
        return Compression(model, epochs=0)


@dataclass(frozen=True, kw_only=True)
class Swells(Method):
    """Zeroes a fraction of the first layer, but keeps a fifth more where there is training: trials promise too much."""

    name = "swells-for-tests"
    knob = "sparsity"
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)
    trained: ClassVar[list[float]] = []

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> Compression:
        del task
        gone = max(0.0, 1.0 - (1.0 - self.sparsity) * (1.2 if epochs else 1.0))
        if epochs:
            self.trained.append(self.sparsity)
        with torch.no_grad():
            weight = model[1].weight.view(-1)
            weight[: int(gone * len(weight))] = 0.0
        return Compression(model, epochs=0)


def test_a_network_that_costs_more_than_its_trial_is_made_once_more_and_tighter() -> None:
    model, task = MLP.model(), MLP.task()
    Swells.trained.clear()
    met = compress(model, task, Swells(), training=Training(epochs=1), budget=Budget(nonzeros=1500), **QUICK)
    first, second = Swells.trained
    assert second > first
    assert met.met_budget is True
    assert met.requested == second
    assert met.cost.nonzeros <= 1500


def test_a_bounded_latency_is_searched_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = []

    def against(call: Callable[[], Any], bound_ms: float, **_: Any) -> Timing:
        call()
        bounds.append(bound_ms)
        nonzeros = sum(int(p.count_nonzero()) for p in call.__closure__[1].cell_contents.parameters())
        return Timing((nonzeros / 1000,))

    monkeypatch.setattr("gossamer.cost.against", against)
    model, task = MLP.model(), MLP.task()
    found = compress(
        model,
        task,
        method("magnitude"),
        training=Training(epochs=0),
        budget=Budget(latency_ms=1.5),
        accelerate=False,
        progress=False,
    )
    assert set(bounds) == {1.5}
    assert found.met_budget
    assert found.cost.latency_ms is not None
    assert 1.5 * 0.94 <= found.cost.latency_ms <= 1.5 * 0.97, "3 % below the bound, and not 2 % below that"


def test_methods_compose_in_order() -> None:
    model, task = MLP.model(), MLP.task()
    weight = copy.deepcopy(model[1].weight)
    result = compress(model, task, [Scale(), Scale()], training=Training(epochs=0), **QUICK)
    torch.testing.assert_close(result.model[1].weight, 4 * weight)
    assert torch.equal(model[1].weight, weight)
    assert len(result.histories) == 2


def test_training_macs_are_three_forward_passes_a_dense_step() -> None:
    model, task = MLP.model(), MLP.task()
    result = compress(model, task, method("dense"), training=Training(epochs=5, patience=None), **QUICK)
    one_image = 64 * 48 + 48 * 4
    images = task.steps() * task.examples_per_step() * len(task.example()[0])
    assert result.cost.training_macs == pytest.approx(3 * 5 * images * one_image)
    assert result.cost.macs == one_image * len(task.example()[0])


def test_a_budget_turns_the_knob_and_says_whether_it_is_met() -> None:
    torch.manual_seed(0)
    model, task = MLP.model(), MLP.task()
    quick = {**QUICK, "training": Training(epochs=1)}
    met = compress(model, task, method("magnitude"), budget=Budget.parse("nonzeros<=1000"), **quick)
    assert met.met_budget is True
    assert 900 <= met.cost.nonzeros <= 1000
    unmet = compress(model, task, method("magnitude"), budget=Budget.parse("nonzeros<=10"), **quick)
    assert unmet.met_budget is False
    assert unmet.cost.nonzeros < 200
    assert any("not met" in note and "nonzeros" in note for note in unmet.notes)
    assert compress(model, task, method("magnitude"), **quick).met_budget is None
    with pytest.raises(SettingError, match="no knob"):
        compress(model, task, method("dense"), budget=Budget.parse("nonzeros<=10"), **quick)


def test_a_model_that_does_not_fit_the_task_is_named() -> None:
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(ModelError, match=r"4.*3|3.*4"):
        compress(wrong, MLP.task(), method("magnitude"), training=Training(epochs=1), **QUICK)
    with pytest.raises(SettingError, match="no method"):
        compress(MLP.model(), MLP.task(), [], **QUICK)


def test_the_record_tells_layers_and_history() -> None:
    result = compress(
        MLP.model(),
        MLP.task(),
        method("magnitude", sparsity=0.75),
        training=Training(epochs=2),
        **QUICK,
        label="mine",
    )
    record = result.to_json()
    assert record["method"] == "mine"
    assert record["sparsity"] == 0.75
    assert record["measured_sparsity"] == pytest.approx(0.75, abs=0.01)
    assert [layer["name"] for layer in record["layers"]] == ["1.weight", "4.weight"]
    assert sum(layer["nonzeros"] for layer in record["layers"]) <= 0.25 * (64 * 48 + 48 * 4) + 1
    assert len(record["history"]["train_loss"]) == 2
