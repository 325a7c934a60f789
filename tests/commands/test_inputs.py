from __future__ import annotations

import pytest

from gossamer.commands.inputs import training
from gossamer.errors import SettingError
from gossamer.models import default_training
from gossamer.recipes.changes import Changes
from gossamer.train import Training


def test_options_override_the_networks_own_training() -> None:
    own = Training.from_json(default_training("gcn"))
    assert training("gcn[hidden=4]", Changes()) == own
    made = training("gcn", Changes(epochs=7, learning_rate=0.5, patience=3))
    assert (made.epochs, made.optimizer.learning_rate, made.patience) == (7, 0.5, 3)
    assert made.optimizer.weight_decay == own.optimizer.weight_decay


def test_a_network_of_ones_own_trains_by_the_defaults() -> None:
    assert training("own.py:Net", Changes()) == training(None, Changes()) == Training()


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="epochs is -1"):
        training("gcn", Changes(epochs=-1))
