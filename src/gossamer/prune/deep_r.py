"""Deep R: every weight keeps the sign it was given; one that crosses zero falls asleep, and another wakes at random.

Bellec, Kappel, Maass & Legenstein, "Deep rewiring: training very sparse deep networks", ICLR 2018, algorithm 1: with
w = s·θ, s a sign given to each place once and for all, an active weight takes

    θ ← θ − η ∂E/∂θ − η α + √(2ηT) ν,    ν ~ N(0, 1)

becomes dormant where θ < 0, and for each that does a dormant one anywhere in its layer becomes active at θ = 0. So the
number of weights never changes, and no dense gradient is needed. Ours: the first term is the step of whatever optimiser
trains; signs are those of the weights at the beginning; no weight moves any more after a part of the training, so that
those that woke last can grow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.prune.allocation import Allocation, ErdosRenyiKernel
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import SingleWeights
from gossamer.prune.masks import Masks, choose
from gossamer.prune.scores import Random
from gossamer.prune.selection import GONE, top
from gossamer.prune.weights import PrunableWeight, prunable_weights
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class DeepR(Method):
    """Trains at `sparsity` from the first step to the last, with weights that fall asleep and wake."""

    name = "deep-r"
    knob = "sparsity"
    knobs = ("pull", "temperature", "allocation")
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights that is dormant
    pull: float = bounded(1e-4, ge=0.0)  # α, of every weight towards zero
    temperature: float = bounded(1e-8, ge=0.0)  # T, of the noise; 0 = none
    until: float = bounded(0.75, ge=0.0, le=1.0)  # fraction of the training in which weights fall asleep
    allocation: Allocation = field(default_factory=ErdosRenyiKernel)
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense

    def __post_init__(self) -> None:
        """Checks that the allocation needs no scan as well as the ranges."""
        super().__post_init__()
        self.allocation.require_no_scan(self.name)

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> RewiredTraining:
        """Begins with random weights awake.

        Raises:
            ModelError: The model has no prunable weight, or a pattern matches none.
        """
        return RewiredTraining(self, model, task, prunable_weights(model, self.layers, self.exclude), epochs=epochs)


class RewiredTraining(Compression):
    """The state of one run of `DeepR`; it has its final sparsity all along."""

    def __init__(
        self, method: DeepR, model: nn.Module, task: Task, weights: tuple[PrunableWeight, ...], *, epochs: int
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._masks = Masks(weights)
        self._share = ForwardShare.count(model, task.example(), self._masks)
        self._step = 0
        self._last = math.floor(method.until * epochs * task.steps())
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._positive = {weight.name: weight.weight.detach() >= 0 for weight in weights}
        chosen = choose(
            self._masks,
            {weight.name: Random().score(weight.weight, None, self._generator) for weight in weights},
            granularity=SingleWeights(),
            allocation=method.allocation,
            sparsity=method.sparsity,
        )
        self._masks.replace(chosen)
        self._masks.apply_to_weights()

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = awake."""
        return dict(self._masks.keep)

    def after_backward(self) -> None:
        """Masks the gradients."""
        self._masks.apply_to_gradients()

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Pulls and shakes what is awake; puts to sleep what has crossed zero and wakes as many others."""
        self._step += 1
        self._masks.apply_to_weights()
        if self._step > self._last:
            return
        rate = _rates(optimizer)
        awake: dict[str, Tensor] = {}
        for weight in self._masks.weights:
            value, keep = weight.weight, self._masks.keep[weight.name].to(weight.weight.device)
            sign = torch.where(self._positive[weight.name].to(value.device), 1.0, -1.0)
            eta = rate.get(id(value), 0.0)
            noise = torch.randn(value.shape, generator=self._generator).to(value)
            moved = value - eta * self._method.pull * sign + math.sqrt(2.0 * eta * self._method.temperature) * noise
            value.copy_(moved.masked_fill(~keep, 0.0))
            stay = keep & (sign * value >= 0)
            dormant = torch.rand(value.shape, generator=self._generator, dtype=torch.float64).to(value.device)
            fallen = int(keep.sum()) - int(stay.sum())
            self._masks.replace({weight.name: stay})
            awake[weight.name] = stay | top(dormant.masked_fill(stay, GONE).flatten(), fallen).view_as(stay)
        self._masks.apply_to_weights()
        self._masks.apply_to_state(optimizer)
        self._masks.replace(awake)

    def training_cost(self) -> float:
        """Returns 3·f_S / f_D."""
        return 3.0 * self._share.of(self._masks)

    def target_nonzeros(self) -> dict[str, int]:
        """Returns how many weights of each parameter are awake."""
        return self._masks.nonzeros()

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def finish(self) -> nn.Module:
        """Returns the model, whose dormant weights are exactly zero."""
        self._masks.apply_to_weights()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the counter, masks, signs and the state of chance."""
        return {
            "step": self._step,
            "masks": dict(self._masks.keep),
            "positive": dict(self._positive),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step = state["step"]
        self._masks.replace(state["masks"])
        self._positive = dict(state["positive"])
        self._generator.set_state(state["generator"])


def _rates(optimizer: Optimizer | None) -> dict[int, float]:
    """Returns the learning rate of each parameter, by its identity."""
    groups = [] if optimizer is None else optimizer.param_groups
    return {id(parameter): float(group["lr"]) for group in groups for parameter in group["params"]}


DEEP_R = register(
    "deep-r",
    DeepR(),
    summary="Sparse from the start: a weight that changes its sign falls asleep, another wakes at random.",
    paper="sparsity-survey",
)
