from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from gossamer.compression import Compression, Method, compress, method
from gossamer.cost import Budget
from gossamer.errors import ModelError, SettingError
from gossamer.tasks import Task
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
