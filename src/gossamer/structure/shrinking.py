"""A network that becomes smaller while it trains: units go for good, and with them what the optimiser remembers.

    shrinking = Shrinking(model, example)
    shrinking.keep({"conv1.weight:0": mask}, optimizer)      # between two steps, as often as you like
    state = shrinking.state_dict()                           # with it, an untouched network is made as small again

Every removal is a plan, so it is checked against the masked network before it is made, and a group for which the
smaller network would compute something else keeps all its units. Parameters stay the same objects of a smaller shape:
the optimiser, its state cut alike, goes on with the next step as if the units had never been.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.structure.allocation import Exactly
from gossamer.structure.groups import Group, groups
from gossamer.structure.plan import Plan, arguments, plan
from gossamer.structure.trace import Trace, trace


class Shrinking:
    """What was removed from a network in training so far.

    Args:
        model: The network; it is changed in place.
        example: What it is called with, as for `plan`.

    Attributes:
        plans: Those carried out, in order; each is of the network as the one before left it.
        share: Multiply-accumulates of the network now, as a fraction of those at the start.
    """

    def __init__(self, model: nn.Module, example: Any) -> None:
        self._model, self._example = model, example
        self.plans: list[Plan] = []
        self.share = 1.0

    def trace(self) -> Trace:
        """Returns what hangs together in the network as it is now."""
        return trace(self._model, *arguments(self._example))

    def groups(self) -> list[Group]:
        """Returns the groups of the network as it is now that may lose units."""
        return [group for group in groups(self.trace()) if not group.refused]

    def keep(self, masks: Mapping[str, Tensor], optimizer: Optimizer | None = None) -> Plan | None:
        """Removes what is not kept, and what an optimiser remembers of it.

        Args:
            masks: Which units stay, (units,) bool with at least one True, by the names of groups; others keep all.
            optimizer: That of the training under way.

        Returns:
            The plan carried out, whose `refused` says what could not go; None where there was nothing to remove.
        """
        if all(bool(mask.all()) for mask in masks.values()):
            return None
        found = plan(self._model, self._example, ratio=0.0, allocation=Exactly.masks(masks))
        if not found.groups:
            return None
        self._apply(found, optimizer)
        return found

    def notes(self) -> tuple[str, ...]:
        """Says what could not be removed, and why, in sentences for a reader of the result."""
        if not self.plans:
            return ()
        last = self.plans[-1]
        notes = []
        if last.unknown:
            notes.append(f"Units that meet these operators stay, as they have no rule: {', '.join(last.unknown)}.")
        back = dict.fromkeys(
            name
            for one in self.plans
            for name, reason in one.refused.items()
            if reason.startswith("the smaller network")
        )
        if back:
            notes.append(f"All units stay where the smaller network would compute something else: {', '.join(back)}.")
        return tuple(notes)

    def widths(self) -> list[dict[str, Any]]:
        """Returns one record a group that lost units: its name, and how many units it had and has."""
        found: dict[str, dict[str, Any]] = {}
        for one in self.plans:
            for group in one.groups:
                record = found.setdefault(group.name, {"name": group.name, "units": group.units})
                record["kept"] = group.kept
        return list(found.values())

    def state_dict(self) -> dict[str, Any]:
        """Returns the plans, as JSON."""
        return {"plans": [one.to_json() for one in self.plans]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes the network as small as it was; it may be untouched, or have carried out the first of the plans."""
        for saved in state["plans"][len(self.plans) :]:
            self._apply(Plan.from_json(saved), None)

    def _apply(self, change: Plan, optimizer: Optimizer | None) -> None:
        change.apply_(self._model, optimizer)
        self.plans.append(change)
        self.share = change.cost.macs / max(self.plans[0].cost_before.macs, 1)
