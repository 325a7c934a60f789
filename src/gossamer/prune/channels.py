"""Train, remove the channels that are worth least everywhere they occur, fine-tune what is left.

Channels hang together: a channel of a convolution is a scale of the norm behind it, an input of the next layers, and,
through a shortcut, a channel of other convolutions. Such groups are found by tracing the network
(`gossamer.structure`), scored as a whole and removed as a whole, so the network is really smaller: Fang, Ma, Song, Mi
& Wang, "DepGraph: Towards any structural pruning", CVPR 2023, with their group magnitude. Half of the epochs train the
whole network, half fine-tune the small one, with the optimiser's memory of what stays. Ours: tracing by operators, and
the check that the small network computes what the masked one does; a group for which it does not keeps all channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.prune.schedules import OneShot, Schedule
from gossamer.settings import bounded
from gossamer.structure import GroupAllocation, GroupMagnitude, GroupScore, Plan, SameRatio, plan
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class ChannelPruning(Method):
    """Removes whole channels, heads and neurons from the network's shapes."""

    name = "channel-pruning"
    knob = "sparsity"
    knobs = ("score", "allocation")
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)  # fraction of the channels removed
    score: GroupScore = field(default_factory=GroupMagnitude)
    allocation: GroupAllocation = field(default_factory=SameRatio)
    at: float = bounded(0.5, ge=0.0, le=1.0)  # fraction of the training at which they go; 0 = before it, 1 = after it
    multiple_of: int = bounded(1, ge=1)  # kept widths are rounded up to multiples of it
    keep: tuple[str, ...] = ()  # patterns of parameter or module names whose channels all stay
    batches: int = bounded(8, ge=1)  # training batches that a score looks at, where it needs any

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> ChannelTraining:
        """Begins; a network of which nothing can be removed is refused at once.

        Raises:
            ModelError: No channel may go; the reasons are named.
        """
        plan(model, task.example(), ratio=0.0, score=GroupMagnitude(), keep=self.keep)
        return ChannelTraining(self, model, task, epochs=epochs)


class ChannelTraining(Compression):
    """The state of one run of `ChannelPruning`."""

    def __init__(self, method: ChannelPruning, model: nn.Module, task: Task, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._task = task
        schedule: Schedule = OneShot(at=method.at)
        self._when = schedule.plan(epochs * task.steps(), method.sparsity)[0].step
        self._step = 0
        self._plan: Plan | None = None
        self._share = 1.0  # multiply-accumulates of the network now, of those of the whole one
        self._extra = 0.0  # cost of scoring at this step, in dense forward passes
        self._seed = int(torch.randint(2**31, ()))
        self._act(None)

    @property
    def settled(self) -> bool:
        """True once the channels are gone."""
        return self._plan is not None

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Removes the channels when it is time, and what the optimiser remembers of them."""
        self._step += 1
        self._extra = 0.0
        self._act(optimizer)

    def training_cost(self) -> float:
        """Returns that of a step of the network as it is now, plus the passes that scoring took at this one."""
        return 3.0 * self._share + self._extra

    def notes(self) -> tuple[str, ...]:
        """Names the operators without a rule and the groups that the check put back."""
        if self._plan is None:
            return ()
        notes = []
        if self._plan.unknown:
            notes.append(
                f"Channels that meet these operators stay, as they have no rule: {', '.join(self._plan.unknown)}."
            )
        if self._plan.unused:
            notes.append(
                f"{len(self._plan.unused)} parameters took no part in the traced run and were left as they are, "
                f"{self._plan.unused[0]} among them."
            )
        back = [name for name, reason in self._plan.refused.items() if reason.startswith("the smaller network")]
        if back:
            notes.append(
                f"All channels stay where the smaller network would compute something else: {', '.join(back)}."
            )
        return tuple(notes)

    def report(self) -> dict[str, Any]:
        """Returns each group's units before and after, and why others keep theirs."""
        if self._plan is None:
            return {}
        return {
            "groups": [{"name": group.name, "units": group.units, "kept": group.kept} for group in self._plan.groups],
            "refused": dict(self._plan.refused),
        }

    def finish(self) -> nn.Module:
        """Removes what is not yet removed, and returns the smaller network."""
        if not self.settled:
            self._remove(None)
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the step, the plan that was carried out, and the state of chance."""
        return {
            "step": self._step,
            "plan": None if self._plan is None else self._plan.to_json(),
            "share": self._share,
            "seed": self._seed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned; an untouched network is made as small as it was then."""
        self._step, self._share, self._seed = state["step"], state["share"], state["seed"]
        if state["plan"] is not None and self._plan is None:
            self._plan = Plan.from_json(state["plan"])
            self._plan.apply_(self.model)

    def _act(self, optimizer: Optimizer | None) -> None:
        if not self.settled and self._step >= self._when:
            self._remove(optimizer)

    def _remove(self, optimizer: Optimizer | None) -> None:
        method = self._method
        self._plan = plan(
            self.model,
            self._task.example(),
            ratio=method.sparsity,
            score=method.score,
            allocation=method.allocation,
            multiple_of=method.multiple_of,
            keep=method.keep,
            losses=self._losses,
            seed=self._seed,
        )
        self._share = self._plan.cost.macs / max(self._plan.cost_before.macs, 1)
        self._extra = method.score.passes * min(method.batches, self._task.steps())
        self._plan.apply_(self.model, optimizer)

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
