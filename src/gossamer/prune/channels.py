"""Train, remove the channels that are worth least everywhere they occur, fine-tune what is left.

Channels hang together: a channel of a convolution is a scale of the norm behind it, an input of the next layers, and,
through a shortcut, a channel of other convolutions. Such groups are found by tracing the network
(`gossamer.structure`), scored as a whole and removed as a whole, so the network is really smaller: Fang, Ma, Song, Mi
& Wang, "DepGraph: Towards any structural pruning", CVPR 2023, with their group magnitude. By default half of the epochs
train the whole network, half fine-tune the small one, with the optimiser's memory of what stays; other schedules remove
in several rounds, rewinding the weights that stay where they say so. A pressure prepares the removal. Ours: tracing by
operators, and the check that the small network computes what the masked one does; a group for which it does not keeps
all channels.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.errors import SettingError
from gossamer.prune.pressure import Pressure
from gossamer.prune.schedules import OneShot, Schedule
from gossamer.prune.widths import Multiples, Widths
from gossamer.settings import bounded
from gossamer.structure import GroupAllocation, GroupMagnitude, GroupScore, Plan, SameRatio, plan
from gossamer.structure.removal import removed_positions
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class ChannelPruning(Method):
    """Removes whole channels, heads and neurons from the network's shapes."""

    name = "channel-pruning"
    knob = "sparsity"
    knobs = ("score", "allocation", "schedule")
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)  # fraction of the channels removed
    score: GroupScore = field(default_factory=GroupMagnitude)
    allocation: GroupAllocation = field(default_factory=SameRatio)
    schedule: Schedule = field(default_factory=OneShot)
    pressure: Pressure | None = None  # what is pressed towards zero before channels go
    widths: Widths = field(default_factory=Multiples)  # what kept widths are rounded to
    keep: tuple[str, ...] = ()  # patterns of parameter or module names whose channels all stay
    batches: int = bounded(8, ge=1)  # training batches that a score looks at, where it needs any

    def __post_init__(self) -> None:
        """Checks that schedule and pressure fit together, as well as the ranges."""
        super().__post_init__()
        if self.pressure is not None and self.pressure.chooses and len(self.schedule.plan(10_000, 0.5)) > 1:
            raise SettingError(
                f"{self.name}: pressure {self.pressure.name!r} presses what goes at one step, and schedule "
                f"{self.schedule.name!r} removes at several; expected schedule=one-shot"
            )

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> ChannelTraining:
        """Begins; a network of which nothing can be removed is refused at once.

        Raises:
            ModelError: No channel may go; the reasons are named.
        """
        whole = plan(model, task.example(), ratio=0.0, score=GroupMagnitude(), keep=self.keep)
        return ChannelTraining(self, model, task, whole.units, epochs=epochs)


class ChannelTraining(Compression):
    """The state of one run of `ChannelPruning`.

    `units` is how many may go, before any did.
    """

    def __init__(self, method: ChannelPruning, model: nn.Module, task: Task, units: int, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._task = task
        self._events = method.schedule.plan(epochs * task.steps(), method.sparsity)
        self._snapshot_step = method.schedule.snapshot_step(epochs * task.steps())
        self._snapshot: nn.Module | None = None  # made smaller with the network, for rewinding
        self._step = 0
        self._plans: list[Plan] = []  # those that were carried out
        self._chosen: Plan | None = None  # what is to go at the next event, where a pressure wants to know before
        self._doomed: dict[str, list[tuple[int, Tensor]]] = {}
        self._units, self._left = units, units
        self._share = 1.0  # multiply-accumulates of the network now, of those of the whole one
        self._extra = 0.0  # cost of scoring at this step, in dense forward passes
        self._seed = int(torch.randint(2**31, ()))
        self._act(None)

    @property
    def settled(self) -> bool:
        """True once all channels are gone."""
        return len(self._plans) == len(self._events)

    def after_backward(self) -> None:
        """Lets the pressure push."""
        pressure = self._method.pressure
        if pressure is None or self.settled:
            return
        last = self._events[-1].step
        first = self._choice() if pressure.chooses else 0
        progress = (self._step + 1 - first) / max(last - first, 1)
        pressure.push_(self.model, self._doomed, progress)

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Removes the channels when it is time, and what the optimiser remembers of them."""
        self._step += 1
        self._extra = 0.0
        self._act(optimizer)

    def training_cost(self) -> float:
        """Returns that of a step of the network as it is now, plus the passes that scoring took at this one."""
        return 3.0 * self._share + self._extra

    def notes(self) -> tuple[str, ...]:
        """Names the operators without a rule and the groups that the check put back, and what widths are rounded to."""
        if not self._plans:
            return ()
        notes = []
        last = self._plans[-1]
        if last.unknown:
            notes.append(f"Channels that meet these operators stay, as they have no rule: {', '.join(last.unknown)}.")
        if last.unused:
            notes.append(
                f"{len(last.unused)} parameters took no part in the traced run and were left as they are, "
                f"{last.unused[0]} among them."
            )
        back = [name for name, reason in last.refused.items() if reason.startswith("the smaller network")]
        if back:
            notes.append(
                f"All channels stay where the smaller network would compute something else: {', '.join(back)}."
            )
        if last.rounding:
            notes.append(f"Widths are {last.rounding}.")
        return tuple(notes)

    def report(self) -> dict[str, Any]:
        """Returns each group's units before and after, and why others keep theirs."""
        if not self._plans:
            return {}
        units: dict[str, dict[str, Any]] = {}
        for done in self._plans:
            for group in done.groups:
                first = units.setdefault(group.name, {"name": group.name, "units": group.units, "kept": group.kept})
                first["kept"] = group.kept
        found: dict[str, Any] = {"groups": list(units.values()), "refused": dict(self._plans[-1].refused)}
        if self._plans[-1].rounding:
            found["rounding"] = self._plans[-1].rounding
        return found

    def finish(self) -> nn.Module:
        """Removes what is not yet removed, and returns the smaller network."""
        while not self.settled:
            self._remove(None)
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the step, plans that were carried out or chosen, the weights to rewind to, the state of chance."""
        return {
            "step": self._step,
            "plans": [done.to_json() for done in self._plans],
            "chosen": None if self._chosen is None else self._chosen.to_json(),
            "snapshot": None if self._snapshot is None else dict(self._snapshot.state_dict()),
            "left": self._left,
            "share": self._share,
            "seed": self._seed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned; an untouched network is made as small as it was then."""
        self._step, self._share, self._seed, self._left = (state[key] for key in ("step", "share", "seed", "left"))
        for value in state["plans"][len(self._plans) :]:
            self._plans.append(Plan.from_json(value))
            self._plans[-1].apply_(self.model)
        self._choose(None if state["chosen"] is None else Plan.from_json(state["chosen"]))
        if state["snapshot"] is not None:
            self._snapshot = copy.deepcopy(self.model)
            self._snapshot.load_state_dict(state["snapshot"])

    def _choice(self) -> int:
        """Returns the step at which a pressure that wants to know what goes is told."""
        assert self._method.pressure is not None
        return round(self._method.pressure.choice() * self._events[-1].step)

    def _act(self, optimizer: Optimizer | None) -> None:
        pressure = self._method.pressure
        if self._step == self._snapshot_step:
            self._snapshot = copy.deepcopy(self.model)
        if pressure is not None and pressure.chooses and not self.settled and self._step == self._choice():
            self._choose(self._planned())
        while not self.settled and self._step >= self._events[len(self._plans)].step:
            self._remove(optimizer)

    def _choose(self, chosen: Plan | None) -> None:
        self._chosen = chosen
        self._doomed = {} if chosen is None else dict(removed_positions(chosen.removal.cuts))

    def _planned(self) -> Plan:
        """Returns a plan from here to the next event."""
        method, wanted = self._method, 1.0 - self._events[len(self._plans)].sparsity
        self._extra += method.score.passes * min(method.batches, self._task.steps())

        def with_multiple(multiple_of: int) -> Plan:
            return plan(
                self.model,
                self._task.example(),
                ratio=max(0.0, 1.0 - wanted * self._units / self._left),
                score=method.score,
                allocation=method.allocation,
                multiple_of=multiple_of,
                keep=method.keep,
                losses=self._losses,
                seed=self._seed + len(self._plans),
            )

        return method.widths.choose(with_multiple, self.model, self._task)

    def _remove(self, optimizer: Optimizer | None) -> None:
        event = self._events[len(self._plans)]
        found = self._chosen or self._planned()
        self._choose(None)
        self._share *= found.cost.macs / max(found.cost_before.macs, 1)
        self._left -= sum(group.units - group.kept for group in found.groups)
        found.apply_(self.model, optimizer)
        self._plans.append(found)
        if self._snapshot is not None:
            found.apply_(self._snapshot)
            if event.rewind:
                self._rewind(self._snapshot, optimizer)

    @torch.no_grad()
    def _rewind(self, snapshot: nn.Module, optimizer: Optimizer | None) -> None:
        """Gives what stays its early values, and forgets what the optimiser remembers: zeros are what it began with."""
        for name, value in self.model.state_dict().items():
            value.copy_(snapshot.state_dict()[name])
        for state in [] if optimizer is None else optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.zero_()

    def _losses(self, model: nn.Module) -> Iterator[Tensor]:
        for seen, batch in enumerate(self._task.batches("train"), start=1):
            yield self._task.loss(model, batch)
            if seen == self._method.batches:
                return


CHANNELS = register(
    "channels",
    ChannelPruning(),
    summary="Train, remove whole channels wherever they occur, fine-tune the smaller network.",
)
