from __future__ import annotations

import pytest

from gossamer.commands.inputs import training, zoo
from gossamer.errors import SettingError
from gossamer.models import default_training
from gossamer.train import Training


def test_a_network_with_arguments() -> None:
    assert zoo("gcn[hidden=16,dropout=0.1]") == ("gcn", {"hidden": 16, "dropout": 0.1})


def test_options_override_the_networks_own_training() -> None:
    own = Training.from_json(default_training("gcn"))
    assert training("gcn[hidden=4]", epochs=None, learning_rate=None, patience=None) == own
    made = training("gcn", epochs=7, learning_rate=0.5, patience=3)
    assert (made.epochs, made.optimizer.learning_rate, made.patience) == (7, 0.5, 3)
    assert made.optimizer.weight_decay == own.optimizer.weight_decay


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="epochs is -1"):
        training("gcn", epochs=-1, learning_rate=None, patience=None)
