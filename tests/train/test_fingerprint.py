from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from gossamer.errors import FileError
from gossamer.train import Training
from gossamer.train.fingerprint import fingerprint, require_same
from gossamer.train.hooks import NoHooks
from tests.train.toy import Toy


def test_equal_runs_pass_whatever_their_weights() -> None:
    first, second = (
        fingerprint(nn.Linear(2, 3), Toy(), Training(checkpoint_minutes=minutes), NoHooks(), 0)
        for minutes in (1.0, 2.0)
    )
    require_same(Path("c"), first, second)


def test_the_first_three_differences_are_named() -> None:
    found = {"a": {"x": 1, "y": 2}, "b": 3, "d": 4}
    require_same(Path("c"), found, {"a": {"x": 1, "y": 2}, "b": 3, "d": 4})
    with pytest.raises(FileError) as caught:
        require_same(Path("c"), found, {"a": {"x": 1, "y": 3}, "b": 4, "e": 5})
    assert str(caught.value) == (
        "c: the checkpoint is of another run: a.y is 2, here 3, b is 3, here 4, d is 4, here absent and 1 more; "
        "delete it or name another file"
    )
