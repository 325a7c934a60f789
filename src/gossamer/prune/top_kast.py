"""Top-KAST: always sparse forwards, a little less sparse backwards, over weights that are all remembered.

Jayakumar, Pascanu, Rae, Osindero & Elsen, "Top-KAST: top-K always sparse training", NeurIPS 2020. The network computes
with A, the largest weights at the sparsity asked for; gradients reach B ⊇ A, the largest at a lower sparsity, so that a
weight outside A can grow into it. What lies outside B keeps its value. A decay pulls the weights of A by λ·w and those
of B only by λ·w / density, so that staying out of use costs more. Ours: A and B are chosen anew at every step, layer by
layer; random weights of the density's size are not drawn.
"""

from __future__ import annotations

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
from gossamer.prune.weights import PrunableWeight, prunable_weights
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class TopKAST(Method):
    """Trains at `sparsity` forwards; backwards, the part `reach` of the removed weights takes part."""

    name = "top-kast"
    knob = "sparsity"
    knobs = ("reach", "decay", "allocation")
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights outside A
    reach: float = bounded(0.15, ge=0.0, le=1.0)  # fraction of those that belong to B
    decay: float = bounded(1e-4, ge=0.0)  # λ
    allocation: Allocation = field(default_factory=ErdosRenyiKernel)
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense

    def __post_init__(self) -> None:
        """Checks that the allocation needs no scan as well as the ranges."""
        super().__post_init__()
        self.allocation.require_no_scan(self.name)

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> TopKASTTraining:
        """Begins: from here on the network computes with its largest weights only.

        Raises:
            ModelError: The model has no prunable weight, or a pattern matches none.
        """
        return TopKASTTraining(self, model, task, prunable_weights(model, self.layers, self.exclude), epochs=epochs)


class TopKASTTraining(Compression):
    """The state of one run of `TopKAST`; between steps the network's weights are those of A, all others zero."""

    def __init__(
        self, method: TopKAST, model: nn.Module, task: Task, weights: tuple[PrunableWeight, ...], *, epochs: int
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._forward, self._backward = Masks(weights), Masks(weights)
        self._share = ForwardShare.count(model, task.example(), self._forward)
        self._all: dict[str, Tensor] = {}  # every weight, in use or not
        self._settle()

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to A, bool, True = in use."""
        return dict(self._forward.keep)

    @property
    def reached(self) -> dict[str, Tensor]:
        """Parameter name to B, bool, True = gradients reach it."""
        return dict(self._backward.keep)

    @property
    def remembered(self) -> dict[str, Tensor]:
        """Parameter name to all its weights, in use or not."""
        return dict(self._all)

    @torch.no_grad()
    def after_backward(self) -> None:
        """Puts every weight back for the optimiser's step, and keeps of the gradients those of B, with the decay."""
        self._backward.apply_to_gradients()
        method = self._method
        for weight in self._forward.weights:
            value = self._all[weight.name]
            weight.weight.copy_(value)
            gradient = weight.weight.grad
            if gradient is not None and method.decay:
                used, reached = self._forward.keep[weight.name], self._backward.keep[weight.name]
                pull = used.to(value) + (reached & ~used).to(value) / (1.0 - method.sparsity)
                gradient += method.decay * pull * value

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Chooses A and B anew; what the step did outside B is undone."""
        for weight in self._forward.weights:
            reached = self._backward.keep[weight.name]
            weight.weight.copy_(torch.where(reached, weight.weight, self._all[weight.name]))
        self._backward.apply_to_state(optimizer)
        self._settle()

    def training_cost(self) -> float:
        """Returns (2·f_S + f_B) / f_D: output and gradients of inputs with A, gradients of weights for B."""
        return 2.0 * self._share.of(self._forward) + self._share.of(self._backward)

    def target_nonzeros(self) -> dict[str, int]:
        """Returns how many weights of each parameter are in use."""
        return self._forward.nonzeros()

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._forward.report()

    def finish(self) -> nn.Module:
        """Returns the model, whose weights outside A are exactly zero."""
        self._forward.apply_to_weights()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns masks and all weights."""
        return {"used": dict(self._forward.keep), "reached": dict(self._backward.keep), "all": dict(self._all)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._forward.replace(state["used"])
        self._backward.replace(state["reached"])
        self._all = dict(state["all"])

    @torch.no_grad()
    def _settle(self) -> None:
        """Remembers all weights, finds A and B among them and leaves those of A in the network."""
        method = self._method
        self._all = {weight.name: weight.weight.detach().clone() for weight in self._forward.weights}
        sizes = {name: value.abs() for name, value in self._all.items()}
        for masks, sparsity in (
            (self._forward, method.sparsity),
            (self._backward, method.sparsity * (1.0 - method.reach)),
        ):
            found = choose(
                Masks(masks.weights),
                sizes,
                granularity=SingleWeights(),
                allocation=method.allocation,
                sparsity=sparsity,
            )
            masks.replace(found)
        self._backward.replace({name: mask | self._forward.keep[name] for name, mask in self._backward.keep.items()})
        self._forward.apply_to_weights()


TOP_KAST = register(
    "top-kast",
    TopKAST(),
    summary="Sparse from the start: compute with the largest weights, let gradients reach somewhat more.",
    paper="sparsity-survey",
)
