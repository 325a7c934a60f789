"""HYDRA: training goes on in scores instead of weights; what has the highest scores stays.

Sehwag, Wang, Mittal & Jana, "HYDRA: pruning adversarial robustness", NeurIPS 2020. The weights of a trained network are
frozen; each has a score, at first √(6/C)·w/max|w| with C the weights of an output. The network computes with the
weights of the largest |score| only; the gradient goes to all scores as if the choice were the score itself, so that
what was left out can come back. Then the choice stands, and the weights train again. With a robust loss
(`tasks.Robust`) the search is for a robust network. Ours: scores are moved by Adam at a constant rate; groups of
weights and other allocations than the paper's, which is the same sparsity in every layer.
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
from gossamer.prune.allocation import Allocation, Uniform
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import Granularity, SingleWeights
from gossamer.prune.masks import Masks, choose, require_fit, weights_for
from gossamer.prune.weights import PrunableWeight
from gossamer.settings import bounded
from gossamer.tasks.task import Task
from gossamer.train import Adam
from gossamer.train import Optimizer as OptimizerSettings


@dataclass(frozen=True, kw_only=True)
class LearnedScores(Method):
    """Trains as usual, then scores of frozen weights, then the weights that stay."""

    name = "learned-scores"
    knob = "sparsity"
    knobs = ("granularity", "allocation", "search")
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights removed
    pretrain: float = bounded(0.5, ge=0.0, lt=1.0)  # fraction of the epochs before; 0 for a trained network
    search: float = bounded(0.2, ge=0.0, le=1.0)  # fraction of the epochs in which scores train
    by: OptimizerSettings = field(default_factory=lambda: Adam(learning_rate=1e-3, weight_decay=0.0))  # of the scores
    granularity: Granularity = field(default_factory=SingleWeights)
    allocation: Allocation = field(default_factory=Uniform)
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense

    def __post_init__(self) -> None:
        """Checks that the choices fit together as well as the ranges."""
        super().__post_init__()
        require_fit(self.name, self.granularity, self.allocation, self.sparsity)

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> ScoreTraining:
        """Begins; without training before, weights are chosen at once.

        Raises:
            ModelError: The model has no prunable weight that the granularity suits, or a pattern matches none.
        """
        weights = weights_for(self.granularity, model, task, self.layers, self.exclude)
        return ScoreTraining(self, model, task, weights, epochs=epochs)


class ScoreTraining(Compression):
    """The state of one run of `LearnedScores`; during the search, weights that are left out are zero in the network."""

    def __init__(
        self, method: LearnedScores, model: nn.Module, task: Task, weights: tuple[PrunableWeight, ...], *, epochs: int
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._masks = Masks(weights)
        self._share = ForwardShare.count(model, task.example(), self._masks)
        steps = epochs * task.steps()
        self._begin = round(method.pretrain * steps)
        self._end = min(self._begin + round(method.search * steps), steps)
        self._step = 0
        self._settled = False
        self._whole: dict[str, Tensor] = {}  # every weight, while scores train
        self._scores = {weight.name: nn.Parameter(torch.zeros_like(weight.weight)) for weight in weights}
        self._optimizer = method.by.build(self._scores.values())
        self._advance(None)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = keep; empty before the search."""
        return dict(self._masks.keep)

    @property
    def settled(self) -> bool:
        """True after the search."""
        return self._settled

    @torch.no_grad()
    def after_backward(self) -> None:
        """While scores train, takes all gradients and moves the scores by them; later masks gradients."""
        if not self._whole:
            self._masks.apply_to_gradients()
            return
        for weight in self._masks.weights:
            if weight.weight.grad is not None:
                score = self._scores[weight.name]
                score.grad = weight.weight.grad * self._whole[weight.name] * score.sign()
        self._optimizer.step()
        self._optimizer.zero_grad()
        for parameter in self.model.parameters():
            parameter.grad = None

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Chooses anew while scores train; holds what is left out at zero after that."""
        self._step += 1
        if self._whole:
            self._choose()
        self._advance(optimizer)
        if self._settled:
            self._masks.apply_to_weights()

    def training_cost(self) -> float:
        """Returns 3·f_S / f_D of a step; while scores train, 2·f_S / f_D + 1, as the gradients of all weights are."""
        share = self._share.of(self._masks)
        return 2.0 * share + 1.0 if self._whole else 3.0 * share

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns how many weights of each parameter stay; None before the end of the search."""
        return self._masks.nonzeros() if self._settled else None

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def finish(self) -> nn.Module:
        """Chooses if that is still to be done and returns the model, whose removed weights are exactly zero."""
        if not self._settled:
            if not self._whole:
                self._freeze()
            self._settle(None)
        self._masks.apply_to_weights()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns counters, masks, frozen weights, their scores and what moves them."""
        return {
            "step": self._step,
            "settled": self._settled,
            "masks": dict(self._masks.keep),
            "whole": dict(self._whole),
            "scores": {name: score.detach() for name, score in self._scores.items()},
            "optimizer": self._optimizer.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step, self._settled = state["step"], state["settled"]
        self._masks.clear()
        self._masks.replace(state["masks"])
        self._whole = {name: value.to(self._scores[name].device) for name, value in state["whole"].items()}
        for name, score in self._scores.items():
            score.copy_(state["scores"][name])
        self._optimizer.load_state_dict(state["optimizer"])

    def _advance(self, optimizer: Optimizer | None) -> None:
        """Does what comes after `self._step` steps."""
        if not self._settled and not self._whole and self._step >= self._begin:
            self._freeze()
        if self._whole and self._step >= self._end:
            self._settle(optimizer)

    @torch.no_grad()
    def _freeze(self) -> None:
        """Remembers the weights, scores them and chooses."""
        for weight in self._masks.weights:
            value = weight.weight.detach().clone()
            self._whole[weight.name] = value
            largest = value.abs().max().clamp_min(torch.finfo(value.dtype).tiny)
            self._scores[weight.name].copy_(math.sqrt(6.0 / weight.columns) * value / largest)
        self._choose()

    @torch.no_grad()
    def _choose(self) -> None:
        """Masks all but the highest scores, of all weights anew."""
        method = self._method
        chosen = choose(
            Masks(self._masks.weights),
            {name: score.detach().abs() for name, score in self._scores.items()},
            granularity=method.granularity,
            allocation=method.allocation,
            sparsity=method.sparsity,
        )
        self._masks.replace(chosen)
        for weight in self._masks.weights:
            weight.weight.copy_(self._whole[weight.name])
        self._masks.apply_to_weights()

    def _settle(self, optimizer: Optimizer | None) -> None:
        """Ends the search; the optimiser begins anew, for what it remembers is of other weights."""
        self._whole, self._settled = {}, True
        for state in [] if optimizer is None else optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.zero_()


HYDRA = register(
    "hydra",
    LearnedScores(),
    summary="Freeze the weights at half time, learn which of them to keep, retrain those.",
)
