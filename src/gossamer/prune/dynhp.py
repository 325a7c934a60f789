r"""Dynamic hard pruning: units go for good while a network trains, and the memory they leave makes batches larger.

Follows Valerio, Nardini, Passarella & Perego, "Dynamic hard pruning of neural networks at the edge of the internet",
Journal of Network and Computer Applications 200, 2022 (arXiv 2011.08545). With v_j the weights that make unit j and o_j
those that use it, training minimises

    f(W) + λ Σ_layers √dim(v) Σ_j ‖[v_j, o_j]‖

and after every few epochs the units of least contribution, over all layers, are removed: parameters, gradients,
activations and what the optimiser remembers are smaller from the next step on (`structure.Shrinking`). The fraction
kept falls as q_i = κ + (1 − κ)(1 − (i + 1)/I)³. Of the paper only the abstract was at hand, so the penalty, the
contributions, the schedule and the memory model are a reading of it. Ours: any network that can be traced, graph
networks too; whole groups of tied channels; statistics of batch normalisations taken anew after each removal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.prune.batch_sizing import BatchSizing
from gossamer.prune.contributions import Contribution, SoftGate, activities
from gossamer.prune.schedules import Cubic, Schedule
from gossamer.prune.soft_gates import SoftGates
from gossamer.settings import bounded
from gossamer.structure import Shrinking, Trace, groups, plan
from gossamer.structure.units import UnitWeights, making
from gossamer.tasks.task import Task
from gossamer.train import StepMemory, step_memory
from gossamer.train.recalibrate import recalibrate_


@dataclass(frozen=True, kw_only=True)
class DynamicHardPruning(Method):
    """Removes units all through training, and lets batches grow into the memory that they leave."""

    name = "dynamic-hard-pruning"
    paper = "dynhp"
    knob = "sparsity"
    knobs = ("penalty", "contribution")
    sparsity: float = bounded(0.75, ge=0.0, lt=1.0)  # 1 - κ: fraction of the units, or parameters, removed in the end
    of: Literal["units", "parameters"] = "units"
    contribution: Contribution = field(default_factory=SoftGate)
    penalty: float = bounded(1e-4, ge=0.0)  # λ
    schedule: Schedule = field(default_factory=lambda: Cubic(end=0.6))  # in epochs, none before the first
    below: float = bounded(1.0, gt=0.0, le=1.0)  # of their layer's best: units that contribute as much or more stay
    least: int = bounded(2, ge=1)  # units that stay in every layer
    least_share: float = bounded(0.05, ge=0.0, lt=1.0)  # of its units that stay in every layer
    batches: BatchSizing | None = field(default_factory=BatchSizing)  # None = batches as they are, so memory is saved
    recalibrate: int = bounded(8, ge=0)  # batches from which norms take statistics after a removal
    looks_at: int = bounded(4, ge=1)  # batches that show what units hold, where the contribution asks
    keep: tuple[str, ...] = ()  # patterns of parameter or module names whose units all stay

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> ShrinkingTraining:
        """Begins; a network of which nothing can be removed is refused at once.

        Raises:
            ModelError: No unit may go; the reasons are named.
        """
        trial = plan(model, task.example(), ratio=max(self.sparsity, 0.5), keep=self.keep)
        return ShrinkingTraining(self, model, task, [group.name for group in trial.groups], epochs=epochs)


class ShrinkingTraining(Compression):
    """The state of one run of `DynamicHardPruning`."""

    def __init__(
        self, method: DynamicHardPruning, model: nn.Module, task: Task, names: Sequence[str], *, epochs: int
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method, self._given = method, task
        self._names = list(names)  # of the groups that lose units
        self._shrinking = Shrinking(model, task.example())
        events = method.schedule.plan(epochs, method.sparsity)
        self._events = [event for event in events if event.step > 0 or not epochs]
        self._parameters = dict(model.named_parameters())
        self._follow()
        self._at_first = {"units": self._units(), "parameters": sum(p.numel() for p in model.parameters())}
        gate = method.contribution
        self._gates = (
            SoftGates(gate.penalty, gate.learning_rate, self._groups, self._parameters)
            if isinstance(gate, SoftGate)
            else None
        )
        self._epoch = 0
        self._left = task.steps()  # of this epoch
        self._extra = 0.0  # cost of a removal at this step, in dense forward passes
        self._phases: list[dict[str, Any]] = []  # what a step takes, from one removal to the next

    @property
    def settled(self) -> bool:
        """True once the last units are gone."""
        return not self._events

    def penalty(self) -> Tensor | None:
        """Returns λ Σ √dim(v) Σ ‖[v, o]‖ over the units that may go."""
        if not self._method.penalty:
            return None
        total = sum(
            root * weights.norms(self._parameters).sum() for weights, root in zip(self._both, self._roots, strict=True)
        )
        return self._method.penalty * total if isinstance(total, Tensor) else None

    def after_backward(self) -> None:
        """Takes gates and weights apart for the optimiser's step."""
        if self._gates is not None:
            self._gates.open()

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Puts gates and weights together; at the end of an epoch removes what is due and sizes the next batches."""
        if self._gates is not None:
            self._gates.close()
        self._extra = 0.0
        if not self._phases and optimizer is not None:
            self._measure(optimizer, None)
        if self._phases:
            self._phases[-1]["steps"] += 1
        self._left -= 1
        if self._left:
            return
        self._epoch += 1
        if self._phases:
            self._phases[-1]["epochs"] += 1
        if self._events and self._epoch >= self._events[0].step:
            self._remove(self._events.pop(0).sparsity, optimizer)
            if optimizer is not None:
                self._resize(optimizer)
        self._left = self._seen().steps()

    def training_cost(self) -> float:
        """Returns that of a step of the network and the batch as they are now, plus what a removal took at this one."""
        examples = self._phases[-1]["batch"] / self._phases[0]["batch"] if self._phases else 1.0
        return 3.0 * self._shrinking.share * examples + self._extra

    def notes(self) -> tuple[str, ...]:
        """Says what could not be removed, and whether batches could grow."""
        found = [*self._shrinking.notes()]
        if self._method.batches is not None and self._given.batch_size is None:
            found.append("Steps of this task take all of its data, so the memory that is left is saved, not spent.")
        if self._events and self.epochs:
            found.append("Training ended before the last removal; what was due was removed after it.")
        return tuple(found)

    def report(self) -> dict[str, Any]:
        """Returns each group's units before and after, and memory over training, in bytes.

        `memory` holds the peak and the mean over epochs of a step's memory, by its parts and as measured, and both of
        the network as it was at first.
        """
        return {"groups": self._shrinking.widths(), "phases": self._phases, "memory": _over_training(self._phases)}

    def finish(self) -> nn.Module:
        """Removes what is still due, and returns the smaller network."""
        if self._events:
            self._remove(self._events[-1].sparsity, None)
            self._events = []
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the plans carried out, counters, gates, and memory so far."""
        return {
            "shrinking": self._shrinking.state_dict(),
            "names": self._names,
            "events": len(self._events),
            "epoch": self._epoch,
            "left": self._left,
            "batch_size": self.batch_size,
            "rate_factor": self.rate_factor,
            "phases": self._phases,
            "gates": None if self._gates is None else self._gates.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned; an untouched network is made as small as it was then."""
        self._shrinking.load_state_dict(state["shrinking"])
        self._names = list(state["names"])
        self._events = self._events[len(self._events) - state["events"] :]
        self._epoch, self._left = state["epoch"], state["left"]
        self.batch_size, self.rate_factor = state["batch_size"], state["rate_factor"]
        self._phases = [dict(phase) for phase in state["phases"]]
        self._follow()
        if self._gates is not None:
            self._gates.load_state_dict(state["gates"])
            self._gates.follow(self._groups)

    def _follow(self) -> None:
        """Finds the groups of the network as it is now, and where their weights lie."""
        self._trace: Trace = self._shrinking.trace()
        self._groups = [group for group in groups(self._trace) if group.name in self._names and not group.refused]
        of = self._parameters
        self._both = [
            UnitWeights(group.size, (one for one in group.members if one.tensor in of)) for group in self._groups
        ]
        self._roots = [math.sqrt(making(group, of).dimension(of)) for group in self._groups]

    def _remove(self, sparsity: float, optimizer: Optimizer | None) -> None:
        """Removes the units of least contribution, until the fraction kept is 1 - sparsity."""
        masks = self._choose(sparsity)
        done = self._shrinking.keep(masks, optimizer)
        if done is None:
            return
        lost = {group.name for group in done.groups}
        wanted = {name for name, mask in masks.items() if not bool(mask.all())}
        self._names = [name for name in self._names if name not in wanted - lost]  # what had to stay does so for good
        self._follow()
        if self._gates is not None:
            self._gates.keep({name: mask for name, mask in masks.items() if name in lost})
            self._gates.follow(self._groups)
        self._extra += self._shrinking.share * recalibrate_(self.model, self._given, self._method.recalibrate)

    def _choose(self, sparsity: float) -> dict[str, Tensor]:
        """Returns which units stay, by group."""
        method, scores = self._method, self._scores()
        if not scores:
            return {}
        for name, score in scores.items():
            first = self._sizes_at_first[name]
            stay = min(max(method.least, math.ceil(method.least_share * first)), len(score))
            score[score.argsort(descending=True, stable=True)[:stay]] = torch.inf
        ranked = torch.cat(list(scores.values()))
        order = ranked.argsort(stable=True)
        most = int((ranked < method.below).sum())

        def masks(count: int) -> dict[str, Tensor]:
            stay = torch.ones(len(ranked), dtype=torch.bool)
            stay[order[:count]] = False
            return dict(zip(scores, torch.split(stay, [len(score) for score in scores.values()]), strict=True))

        bound = (1.0 - sparsity) * self._at_first[method.of]
        if method.of == "units":
            return masks(min(most, max(0, round(len(ranked) - bound))))
        low, high = 0, most  # the fewest units without which parameters are within the bound
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._size(masks(middle)) <= bound else (middle + 1, high)
        return masks(low)

    def _scores(self) -> dict[str, Tensor]:
        """Returns each unit's contribution over the largest of its group, float32 on the CPU."""
        contribution, seen = self._method.contribution, {}
        if contribution.watches:
            seen = activities(self.model, self._given, self._groups, self._method.looks_at)
            self._extra += self._shrinking.share * self._method.looks_at
        gates: Mapping[str, Tensor] = {} if self._gates is None else self._gates.gates
        found = {}
        for group in self._groups:
            worth = contribution.of(group, self._parameters, gates.get(group.name), seen.get(group.name))
            worth = worth.detach().float().cpu()
            found[group.name] = worth / worth.max().clamp_min(torch.finfo(torch.float32).tiny)
        return found

    def _size(self, masks: Mapping[str, Tensor]) -> int:
        """Returns how many parameters are left."""
        kept = {group.axis: int(masks[group.name].sum()) for group in self._groups}
        return sum(
            math.prod(axis.count(kept) for axis in self._trace.tensors[name])
            if name in self._trace.tensors
            else parameter.numel()
            for name, parameter in self._parameters.items()
        )

    def _units(self) -> int:
        self._sizes_at_first = {group.name: group.size for group in self._groups}
        return sum(self._sizes_at_first.values())

    def _seen(self) -> Task:
        return self._given if self.batch_size is None else self._given.with_batch_size(self.batch_size)

    def _resize(self, optimizer: Optimizer) -> None:
        """Measures the smaller network, and lets batches grow into what it leaves."""
        sizing, first = self._method.batches, StepMemory(**self._phases[0]["memory"])
        now: StepMemory | None = step_memory(self.model, self._seen(), optimizer)
        if sizing is not None and now is not None and self._given.batch_size is not None:
            size = sizing.size(now, first)
            if size != (self.batch_size or self._given.batch_size):
                self.batch_size, now = size, None
                self.rate_factor = sizing.rate_factor(size, self._given.batch_size)
        self._measure(optimizer, now)

    def _measure(self, optimizer: Optimizer, memory: StepMemory | None) -> None:
        """Begins a phase, in which steps take as much memory as the next one."""
        memory = step_memory(self.model, self._seen(), optimizer) if memory is None else memory
        self._phases.append(
            {
                "epoch": self._epoch,
                "epochs": 0,
                "steps": 0,
                "batch": memory.examples,
                "units": sum(group.size for group in self._groups),
                "by_parts": memory.by_parts,
                "measured": memory.measured,
                "memory": asdict(memory),
            }
        )


def _over_training(phases: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns peak and mean over epochs of a step's memory, by its parts and as measured, and both at first."""
    epochs = sum(phase["epochs"] for phase in phases)
    if not epochs:
        return {}
    found: dict[str, float] = {}
    for kind in ("by_parts", "measured"):
        found[f"first_{kind}"] = phases[0][kind]
        found[f"peak_{kind}"] = max(phase[kind] for phase in phases)
        found[f"mean_{kind}"] = sum(phase[kind] * phase["epochs"] for phase in phases) / epochs
    return found


DYNHP = register(
    "dynhp",
    DynamicHardPruning(),
    summary="Remove the units that contribute least all through training; larger batches use the memory they leave.",
    paper="dynhp",
)
