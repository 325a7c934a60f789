"""Hard masks: removed weights are set to zero when the schedule says, and stay zero in further training.

The algorithm of most pruning papers; which one is a matter of score, granularity, allocation and schedule.
Train-and-prune is `OneShot`, gradual pruning `Cubic`, lottery tickets `Iterative`. Where training ends before
the schedule does, what is missing is removed at the end. With `activation`, each round leaves a part of its removals to
weights that keep neurons from firing (`activating`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.counting import evaluating
from gossamer.dead_neurons import dead_neurons
from gossamer.errors import SettingError
from gossamer.prune.activating import Activating, Round
from gossamer.prune.allocation import Allocation, Uniform
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import Granularity, SingleWeights
from gossamer.prune.masks import Masks, choose, require_fit, weights_for
from gossamer.prune.schedules import OneShot, Schedule
from gossamer.prune.scores import Magnitude, Score
from gossamer.prune.selection import kept
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class HardMasks(Method):
    """Prunes to `sparsity` by choices that can be combined freely, where they make sense together."""

    name = "hard-masks"
    knob = "sparsity"
    knobs = ("score", "granularity", "allocation", "schedule")
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights removed in the end
    score: Score = field(default_factory=Magnitude)
    granularity: Granularity = field(default_factory=SingleWeights)
    allocation: Allocation = field(default_factory=Uniform)
    schedule: Schedule = field(default_factory=OneShot)
    activation: Activating | None = None  # what a round removes beside the lowest scores, so that neurons fire
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense
    batches: int = bounded(8, ge=1)  # training batches that a score looks at, where it needs any
    passes: int = bounded(1, ge=1)  # scorings a pruning, each of which removes the same fraction of what is left

    def __post_init__(self) -> None:
        """Checks that the choices fit together as well as the ranges."""
        super().__post_init__()
        require_fit(self.name, self.granularity, self.allocation, self.sparsity, scans=True)
        if self.activation is not None and self.granularity.sets_density:
            raise SettingError(
                f"{self.name}: granularity {self.granularity.name!r} sets every layer's density itself, which leaves "
                "nothing for an activation; leave 'activation' out, or take granularity 'single-weights'"
            )

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> MaskedTraining:
        """Begins; what the schedule puts at the start is removed at once.

        Raises:
            ModelError: The model has no prunable weight, or a pattern matches none.
        """
        weights = weights_for(self.granularity, model, task, self.layers, self.exclude)
        return MaskedTraining(self, model, task, Masks(weights), epochs=epochs)


class MaskedTraining(Compression):
    """The state of one run of `HardMasks`."""

    def __init__(self, method: HardMasks, model: nn.Module, task: Task, masks: Masks, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._task = task
        self._masks = masks
        steps = epochs * task.steps()
        self._plan = method.schedule.plan(steps, method.sparsity)
        self._snapshot_step = method.schedule.snapshot_step(steps)
        self._snapshot: dict[str, Tensor] = {}
        self._step = 0
        self._done = 0  # events of the plan that are over
        self._extra = 0.0  # cost of what the last pruning looked at, in dense forward passes
        self._followed: dict[str, Tensor] = {}  # what the score remembers of the training so far
        self._share = ForwardShare.count(model, task.example(), masks)
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._round = None if method.activation is None else Round(method.activation, masks, method.granularity)
        self._dead: list[dict[str, float]] = []  # dead neurons at the end of each round
        self._act(None)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = keep; parameters of which nothing is removed are absent."""
        return dict(self._masks.keep)

    @property
    def settled(self) -> bool:
        """True after the last pruning."""
        return self._done == len(self._plan)

    def after_backward(self) -> None:
        """Shows the gradients to a score that follows training, then masks them."""
        score = self._method.score
        if score.follows_training and not self.settled:
            for weight in self._masks.weights:
                value, gradient = weight.weight.detach(), weight.weight.grad
                self._followed[weight.name] = score.follow(
                    self._followed.get(weight.name), value, torch.zeros_like(value) if gradient is None else gradient
                )
        self._masks.apply_to_gradients()

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Masks the weights, after pruning and rewinding where the schedule says so."""
        self._step += 1
        self._extra = 0.0
        self._act(optimizer)
        self._masks.apply_to_weights()

    def training_cost(self) -> float:
        """Returns 3·f_S / f_D, plus the passes that a pruning at this step took to gather gradients."""
        return 3.0 * self._share.of(self._masks) + self._extra

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns how many weights of each parameter stay; None before the last pruning."""
        return self._masks.nonzeros() if self.settled else None

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def report(self) -> dict[str, Any]:
        """Returns, with an activation, the dead neurons at the end of each round of training; {} otherwise.

        `dead_neurons` holds an object a round, the last of them after `finish`: the sparsity and the rates of
        `gossamer.dead_neurons`, seen on as many training batches as a score looks at.
        """
        return {"dead_neurons": [dict(rates) for rates in self._dead]} if self._dead else {}

    def finish(self) -> nn.Module:
        """Removes what is still missing and returns the model, whose removed weights are exactly zero."""
        if not self.settled:
            self._prune(self._plan[-1].sparsity)
            self._done = len(self._plan)
        self._masks.apply_to_weights()
        self._count_dead()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns counters, masks, the snapshot to rewind to and the state of chance."""
        return {
            "step": self._step,
            "done": self._done,
            "masks": dict(self._masks.keep),
            "snapshot": dict(self._snapshot),
            "followed": dict(self._followed),
            "generator": self._generator.get_state(),
            "round": None if self._round is None else self._round.state_dict(),
            "dead": list(self._dead),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step, self._done = state["step"], state["done"]
        self._masks.clear()
        self._masks.replace(state["masks"])
        self._snapshot = dict(state["snapshot"])
        self._followed = dict(state["followed"])
        self._generator.set_state(state["generator"])
        self._dead = list(state["dead"])
        if self._round is not None:
            self._round.load_state_dict(state["round"])

    def _act(self, optimizer: Optimizer | None) -> None:
        """Does what the plan has for this step."""
        if self._step == self._snapshot_step:
            self._snapshot = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        while not self.settled and self._plan[self._done].step <= self._step:
            event = self._plan[self._done]
            self._count_dead()
            self._prune(event.sparsity)
            if event.rewind:
                self._rewind(optimizer)
            self._masks.apply_to_weights()
            self._masks.apply_to_state(optimizer)
            self._done += 1
            if self._round is not None:
                self._round.begin(self._step)

    def _count_dead(self) -> None:
        """Counts dead neurons if the activation wants to know and there was any training."""
        if self._round is not None and self._step > 0:
            found = dead_neurons(self.model, self._task, batches=self._method.batches)
            weights = self._masks.weights
            density = sum(self._masks.nonzeros().values()) / sum(weight.weight.numel() for weight in weights)
            self._dead.append({"sparsity": 1.0 - density, **found.to_json()})

    def _prune(self, sparsity: float) -> None:
        """Removes down to a sparsity: the lowest scores and, with an activation, what it takes of the round."""
        if self._round is not None:
            size = sum(weight.weight.numel() for weight in self._masks.weights)
            target = kept(size, sparsity)
            spared = self._round.spared(self._step, target)
            if spared:
                self._remove_in_passes(1.0 - (target + spared) / size)
                self._round.remove(spared, self._generator)
                if sum(self._masks.nonzeros().values()) <= target:
                    return
        self._remove_in_passes(sparsity)

    def _remove_in_passes(self, sparsity: float) -> None:
        """Scores and removes, in as many passes as the method has."""
        method, masks = self._method, self._masks
        size = sum(weight.weight.numel() for weight in masks.weights)
        density = sum(masks.nonzeros().values()) / size
        for i in range(1, method.passes + 1):
            done = i / method.passes
            now = sparsity if i == method.passes else 1.0 - density ** (1.0 - done) * (1.0 - sparsity) ** done
            self._remove(now)

    def _remove(self, sparsity: float) -> None:
        """Removes the lowest scores, up to a sparsity; what stays may be changed to make up for it."""
        method, masks = self._method, self._masks
        observed: dict[str, Tensor] = self._followed
        if not observed:
            observed = method.score.gather(self.model, self._task, masks.weights, batches=method.batches)
            self._extra += method.score.cost(min(method.batches, self._task.steps()))
        scores = {
            weight.name: method.score.score(weight.weight, observed.get(weight.name), self._generator)
            for weight in masks.weights
        }
        layers = len(masks.weights)
        allocation = method.allocation.scanned(layers, lambda place, level: self._loss_without(place, level, scores))
        self._extra += method.allocation.scans(layers) * min(method.batches, self._task.steps())
        chosen = choose(masks, scores, granularity=method.granularity, allocation=allocation, sparsity=sparsity)
        masks.replace({name: mask for name, mask in chosen.items() if not bool(mask.all()) or name in masks.keep})
        for weight in masks.weights:
            if weight.name in masks.keep:
                repaired = method.score.repair(
                    weight.weight.detach(), masks.keep[weight.name], observed.get(weight.name)
                )
                if repaired is not None:
                    weight.weight.data.copy_(repaired)
        masks.apply_to_weights()

    @torch.no_grad()
    def _loss_without(self, place: int, sparsity: float, scores: dict[str, Tensor]) -> float:
        """Returns the mean loss of the first training batches with one weight pruned alone; it is put back."""
        method, weight = self._method, self._masks.weights[place]
        alone = Masks((weight,))
        alone.replace({name: mask for name, mask in self._masks.keep.items() if name == weight.name})
        held = weight.weight.detach().clone()
        found = choose(alone, scores, granularity=method.granularity, allocation=Uniform(), sparsity=sparsity)
        weight.weight.masked_fill_(~found[weight.name].view(held.shape), 0.0)
        try:
            with evaluating(self.model):
                batches = islice(self._task.batches("train"), method.batches)
                return fmean(float(self._task.loss(self.model, batch)) for batch in batches)
        finally:
            weight.weight.copy_(held)

    @torch.no_grad()
    def _rewind(self, optimizer: Optimizer | None) -> None:
        """Puts the snapshot back and forgets what the optimiser remembers: zeros are what it started from."""
        for name, value in self.model.state_dict().items():
            value.copy_(self._snapshot[name])
        for state in [] if optimizer is None else optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.zero_()
