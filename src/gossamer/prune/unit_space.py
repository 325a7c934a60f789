"""Units of layers that zeros silence, as groups that training may press to zero and cut out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.structure import Shrinking
from gossamer.structure.invariant import Invariants
from gossamer.structure.plan import arguments
from gossamer.structure.twin import difference, outputs


class UnitSpace:
    """The zero-invariant groups of a network; of every layer at least one unit stays.

    Args:
        model: Any network that can be traced.
        example: What it is called with, as for `plan`.
        multiple_of: Kept widths are rounded up to multiples of it, where a layer is as wide.
        keep: Patterns of names of parameters or modules whose units all stay.

    Raises:
        ModelError: Nothing can be removed from the network; the reasons are named.
    """

    def __init__(self, model: nn.Module, example: Any, *, multiple_of: int = 1, keep: tuple[str, ...] = ()) -> None:
        invariants = Invariants(model, example, keep)
        self._model, self._example = model, example
        self._names = [one.group.name for one in invariants.found]
        self._refused = invariants.refused
        self._multiple_of = multiple_of
        self._shrinking = Shrinking(model, example)
        self._difference: float | None = None
        self.blocks = [one.weights for one in invariants.found]

    @property
    def share(self) -> float:
        """Multiply-accumulates of the network now, as a fraction of those at the start."""
        return self._shrinking.share

    def wanted(self, ratio: float) -> int:
        """Returns how many units are to go."""
        return int(ratio * sum(map(len, self.blocks)))

    def choose(self, redundancy: Tensor, ratio: float, margin: float) -> Tensor:
        """Returns the units to press, the most redundant first; where widths are multiples, no more than wanted."""
        count = len(redundancy)
        extra = margin if self._multiple_of == 1 else 0.0
        order = redundancy.argsort(descending=True, stable=True)
        chosen = torch.zeros(count, dtype=torch.bool)
        chosen[order[: max(self.wanted(ratio), int(count * min(ratio + extra, 0.999)))]] = True
        start = 0
        for block in self.blocks:
            here = slice(start, start + len(block))
            kept = len(block) - int(chosen[here].sum())
            stay = min(max(-(-kept // self._multiple_of) * self._multiple_of, 1), len(block))
            back = redundancy[here].masked_fill(~chosen[here], torch.inf).argsort(stable=True)[: stay - kept]
            chosen[here][back] = False
            start += len(block)
        return order[chosen[order]]

    def cut(self, zero: Tensor, optimizer: Optimizer | None) -> None:
        """Removes the units that are zero, and notes by how much the network then computes something else."""
        args, kwargs = arguments(self._example)
        before = outputs(self._model, args, kwargs)
        parts = torch.split(~zero, [len(block) for block in self.blocks])
        self._shrinking.keep(dict(zip(self._names, parts, strict=True)), optimizer)
        self._difference = difference(outputs(self._model, args, kwargs), before)

    def notes(self) -> tuple[str, ...]:
        """Says what could not be removed and why."""
        silent = [name for name, reason in self._refused.items() if reason.startswith("zeros")]
        found = [*self._shrinking.notes()]
        if silent:
            found.append(f"All units stay where zeros in their weights do not silence them: {', '.join(silent)}.")
        return tuple(found)

    def report(self) -> dict[str, Any]:
        """Returns each layer's units before and after, why others keep theirs, and how exact the cut was."""
        return {"units": self._shrinking.widths(), "refused": self._refused, "difference": self._difference}

    def state_dict(self) -> dict[str, Any]:
        """Returns what was removed."""
        return {"shrinking": self._shrinking.state_dict(), "difference": self._difference}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Removes the same from an untouched network."""
        self._shrinking.load_state_dict(state["shrinking"])
        self._difference = state["difference"]
