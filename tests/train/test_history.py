from __future__ import annotations

import json
import math

from gossamer.train import History


def test_every_list_has_one_entry_an_epoch() -> None:
    history = History()
    history.add(0, 2.0, None)
    history.add(1, 1.0, {"accuracy": 0.5})
    history.add(2, 0.5, None)
    history.add(3, 0.25, {"accuracy": 0.6, "f1": 0.4})
    assert history.epochs == [0, 1, 2, 3]
    assert history.train_loss == [2.0, 1.0, 0.5, 0.25]
    assert history.validation == {"accuracy": [None, 0.5, None, 0.6], "f1": [None, None, None, 0.4]}


def test_json_is_strict_and_detached() -> None:
    history = History(notes=["a note"], best_epoch=0)
    history.add(0, 1.0, {"auc": math.nan, "error": math.inf})
    value = history.to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == {
        "epoch": [0],
        "train_loss": [1.0],
        "validation": {"auc": [None], "error": [None]},
        "seconds": 0.0,
        "best_epoch": 0,
        "stopped_early": False,
        "resumed_from": None,
        "steps": 0,
        "forward_passes": 0.0,
        "notes": ["a note"],
    }
    history.add(1, 1.0, None)
    history.notes.append("another")
    assert value["train_loss"] == [1.0]
    assert value["notes"] == ["a note"]
