from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from gossamer.train import load_state, save_state
from gossamer.train.randomness import generator_states, seeded, set_generator_states

CPU = torch.device("cpu")


def draws() -> tuple[float, ...]:
    """A number of each kind from each generator; those of normal distributions come in pairs, one is kept."""
    return (torch.rand(()).item(), np.random.rand(), np.random.randn(), random.random(), random.gauss())  # noqa: NPY002


def test_the_seed_decides_and_the_outside_is_undisturbed() -> None:
    with seeded(11, CPU):
        expected_outside = draws()
        with seeded(-5, CPU):
            first = draws()
        with seeded(-5, CPU):
            again = draws()
        with seeded(2**40, CPU):
            other = draws()
        inside = draws()
    assert first == again
    assert first != other
    with seeded(11, CPU):
        assert draws() == expected_outside
        assert draws() == inside


def test_states_come_back_from_a_file(tmp_path: Path) -> None:
    with seeded(3, CPU):
        draws()
        save_state(tmp_path / "states", generator_states(CPU))
        expected = [draws(), draws()]
        draws()
        set_generator_states(load_state(tmp_path / "states"), CPU)
        assert [draws(), draws()] == expected
