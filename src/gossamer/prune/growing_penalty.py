"""Growing regularisation: what will be removed is chosen early and pressed towards zero ever harder before it goes.

Wang, Qin, Zhang & Fu, "Neural pruning via growing regularization", ICLR 2021, the first of its two methods: the weights
of least magnitude are chosen from a trained network, a penalty λ/2·w² on these alone grows step by step, so that the
others take over, and when it is at its highest they are removed and the network retrains. Ours: λ grows along a
straight line, at every step, from 0 to a ceiling that stands in the settings; all within one training.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.errors import SettingError
from gossamer.prune.allocation import Allocation, Uniform
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import Granularity, SingleWeights
from gossamer.prune.masks import Masks, choose, require_fit, weights_for
from gossamer.prune.scores import Magnitude, Score
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class GrowingPenalty(Method):
    """Chooses what goes at `chosen`, presses until `at`, then removes down to `sparsity` and retrains."""

    name = "growing-penalty"
    knob = "sparsity"
    knobs = ("ceiling", "granularity", "allocation")
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights removed in the end
    ceiling: float = bounded(1.0, ge=0.0)  # λ right before the removal
    chosen: float = bounded(0.25, ge=0.0, le=1.0)  # fraction of the training after which the choice is made
    at: float = bounded(0.6, ge=0.0, le=1.0)  # fraction of the training after which the chosen are removed
    score: Score = field(default_factory=Magnitude)
    granularity: Granularity = field(default_factory=SingleWeights)
    allocation: Allocation = field(default_factory=Uniform)
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense
    batches: int = bounded(8, ge=1)  # training batches that a score looks at, where it needs any

    def __post_init__(self) -> None:
        """Checks that the choices fit together as well as the ranges."""
        super().__post_init__()
        require_fit(self.name, self.granularity, self.allocation, self.sparsity)
        if self.chosen > self.at:
            raise SettingError(
                f"growing-penalty: chosen is {self.chosen:g} and at is {self.at:g}; expected chosen <= at"
            )
        if self.score.follows_training:
            raise SettingError(
                f"growing-penalty: score is {self.score.name!r}, which follows training; use 'hard-masks' for it"
            )

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> PressedTraining:
        """Begins with plain training.

        Raises:
            ModelError: The model has no prunable weight, or a pattern matches none.
        """
        weights = weights_for(self.granularity, model, task, self.layers, self.exclude)
        return PressedTraining(self, model, task, Masks(weights), epochs=epochs)


class PressedTraining(Compression):
    """The state of one run of `GrowingPenalty`."""

    def __init__(self, method: GrowingPenalty, model: nn.Module, task: Task, masks: Masks, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method, self._task, self._masks = method, task, masks
        steps = epochs * task.steps()
        self._first, self._last = round(method.chosen * steps), round(method.at * steps)
        self._step = 0
        self._removed = False
        self._extra = 0.0  # cost of what the choice looked at, in dense forward passes
        self._share = ForwardShare.count(model, task.example(), masks)
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._act(None)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = keep; empty before the choice."""
        return dict(self._masks.keep)

    @property
    def settled(self) -> bool:
        """True after the removal."""
        return self._removed

    @property
    def strength(self) -> float:
        """λ of the coming step; 0 before the choice and after the removal."""
        if self._removed or not self._masks.keep:
            return 0.0
        return self._method.ceiling * (self._step + 1 - self._first) / (self._last - self._first)

    @torch.no_grad()
    def after_backward(self) -> None:
        """Adds λ·w to the gradients of what is chosen; after the removal masks gradients."""
        if self._removed:
            self._masks.apply_to_gradients()
            return
        pull = self.strength
        for name, keep in self._masks.keep.items() if pull else ():
            parameter = self.model.get_parameter(name)
            if parameter.grad is not None:
                parameter.grad += pull * parameter.masked_fill(keep.to(parameter.device), 0.0)

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Chooses, or removes, when the time has come; then masks hold the removed at zero."""
        self._step += 1
        self._extra = 0.0
        self._act(optimizer)
        if self._removed:
            self._masks.apply_to_weights()

    def training_cost(self) -> float:
        """Returns 3, that of a dense step, and 3·f_S / f_D after the removal, plus what the choice took at its step."""
        return 3.0 * (self._share.of(self._masks) if self._removed else 1.0) + self._extra

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns how many weights of each parameter stay; None before the removal."""
        return self._masks.nonzeros() if self._removed else None

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def finish(self) -> nn.Module:
        """Removes what is still to be removed and returns the model, whose removed weights are exactly zero."""
        if not self._masks.keep:
            self._choose()
        self._removed = True
        self._masks.apply_to_weights()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the counter, masks and the state of chance."""
        return {
            "step": self._step,
            "removed": self._removed,
            "masks": dict(self._masks.keep),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step, self._removed = state["step"], state["removed"]
        self._masks.clear()
        self._masks.replace(state["masks"])
        self._generator.set_state(state["generator"])

    def _act(self, optimizer: Optimizer | None) -> None:
        """Does what is due at this step."""
        if self._step == self._first:
            self._choose()
        if self._step == self._last:
            self._removed = True
            self._masks.apply_to_weights()
            self._masks.apply_to_state(optimizer)

    def _choose(self) -> None:
        """Marks the lowest scores."""
        method, weights = self._method, self._masks.weights
        observed = method.score.gather(self.model, self._task, weights, batches=method.batches)
        self._extra += method.score.cost(min(method.batches, self._task.steps()))
        scores = {
            weight.name: method.score.score(weight.weight, observed.get(weight.name), self._generator)
            for weight in weights
        }
        self._masks.replace(
            choose(
                self._masks,
                scores,
                granularity=method.granularity,
                allocation=method.allocation,
                sparsity=method.sparsity,
            )
        )


GROWING_PENALTY = register(
    "growing-penalty",
    GrowingPenalty(),
    summary="Train, choose the smallest weights, press them towards zero ever harder, remove them, retrain.",
    paper="sparsity-survey",
)
