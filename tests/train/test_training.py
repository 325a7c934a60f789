from __future__ import annotations

import json
from typing import Any

import pytest

from gossamer.errors import SettingError
from gossamer.settings import members
from gossamer.train import SGD, Cosine, MultiStep, Optimizer, Schedule, Training, Warmup


@pytest.mark.parametrize(
    "training",
    [
        Training(),
        Training(epochs=0, patience=5, keep_best=False, clip_norm=1.0, precision="bf16-mixed"),
        Training(optimizer=SGD(nesterov=True), schedule=Warmup(length=2, then=MultiStep(at=(0.25, 0.5)))),
        *(Training(optimizer=kind()) for kind in members(Optimizer).values()),
        *(Training(schedule=kind()) for kind in members(Schedule).values()),
    ],
)
def test_comes_back_from_json(training: Training) -> None:
    assert Training.from_json(json.loads(json.dumps(training.to_json()))) == training


def test_a_name_stands_for_a_member() -> None:
    assert Training().replace(optimizer="sgd", schedule="cosine") == Training(optimizer=SGD(), schedule=Cosine())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": -1}, "epochs is -1; expected a number at least 0"),
        ({"patience": 0}, "patience is 0"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0; expected a number above 0"),
        ({"precision": "16-mixed"}, "precision is '16-mixed'; expected one of '32-true', 'bf16-mixed'"),
        ({"validate_every": 0}, "validate_every is 0"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint_minutes is nan"),
        ({"optimizer": "adm"}, "optimizer is 'adm'; expected Optimizer"),
    ],
)
def test_refuses_what_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Training(**values)
    if "optimizer" in values:
        with pytest.raises(SettingError, match="did you mean 'adam'"):
            Training().replace(**values)
