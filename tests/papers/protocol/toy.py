"""A paper that measures nothing real, quickly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gossamer.papers import Claim, Outcome, Pair, Paper, Run, Untestable
from gossamer.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ToySetup(Settings):
    shift: float = 1.0


def claim(name: str = "more", **changes: Any) -> Claim:
    words = {"statement": f"There is {name}.", "reported": "Yes.", "metric": "points", "baseline": "nothing"}
    return Claim(**{"id": name, "direction": "higher", **words, **changes})


def answer(setup: ToySetup, run: Run) -> Outcome:
    """One claim holds for a positive shift, the other cannot be tested."""
    baseline = float(torch.rand(()))
    return {"more": Pair(baseline + setup.shift + 0.01 * run.seed, baseline), "other": Untestable("needs a | pipe")}


def toy(experiment: Callable[[ToySetup, Run], Outcome] = answer, **changes: Any) -> Paper:
    fields: dict[str, Any] = {
        "id": "toy",
        "title": "Toys",
        "authors": "Doe",
        "year": 2020,
        "claims": (claim(), claim("other")),
        "scales": {"smoke": ToySetup(), "small": ToySetup(), "full": Untestable("needs a toy shop")},
        "experiment": experiment,
    }
    return Paper(**fields | changes)
