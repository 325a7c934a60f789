"""A convolution as kernels of single channels, then 1×1: depthwise separable.

For each input channel c, the weights of all outputs are a matrix W[:, c] (N, K). Its r largest singular values give r
kernels for the channel and how much of each an output takes, the nearest that r can be: C·r kernels in all, then 1×1
from C·r channels to N, with r C (K + N) weights. With r = 1 it is the depthwise separable convolution of Howard et al.,
"MobileNets", 2017. With singular values as the way from a trained network: Guo, Li, Lin, Chen & Li, "Network
decoupling: from regular to depthwise separable convolutions", BMVC 2018.

Only convolutions with a kernel are replaced, and the sparsity is that of their weights. With `teacher="original"` the
network as it was before the cut teaches what becomes of it (`distill`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.registry import register
from gossamer.distill import SoftTargets
from gossamer.distill.teaching import Teaching
from gossamer.errors import ModelError
from gossamer.factorize.decomposition import Decomposition, Shape, tail
from gossamer.factorize.low_rank import LowRank, LowRankTraining
from gossamer.factorize.svd import SVD
from gossamer.prune.weights import prunable_weights
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Depthwise(Decomposition):
    """Kernels for each input channel alone, by the singular values of that channel's weights."""

    name = "depthwise"

    @property
    def form(self) -> str:
        """The chain `depthwise`."""
        return "depthwise"

    def full(self, shape: Shape) -> tuple[int, ...]:
        """Returns min(N, K): kernels a channel."""
        return (min(shape[0], math.prod(shape[2:])),)

    def unfoldings(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Returns a matrix (N, K) for each input channel."""
        return tuple(weight.flatten(2).unbind(1))

    def tails(self, weight: Tensor, products: Tensor | None = None) -> tuple[Tensor, ...]:
        """Returns what all channels lose together at each rank."""
        del products
        values = torch.linalg.svdvals(weight.flatten(2).transpose(0, 1))
        return (tail(values.square().sum(0).sqrt()),)

    def macs(self, shape: Shape, ranks: Sequence[Any], places: Sequence[float]) -> Any:
        """Returns r C (K + N), times the places."""
        outputs, inputs, *kernel = shape
        return ranks[0] * inputs * (math.prod(kernel) + outputs) * places[-1]

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns (C·r, 1, ...) and (N, C·r)."""
        del products, generator
        rank, (outputs, inputs, *kernel) = ranks[0], weight.shape
        left, values, right = torch.linalg.svd(weight.flatten(2).transpose(0, 1), full_matrices=False)
        root = values[:, :rank].sqrt()
        after = (left[:, :, :rank] * root[:, None]).permute(1, 0, 2).reshape(outputs, inputs * rank)
        before = root[:, :, None] * right[:, :rank]
        return before.reshape(inputs * rank, 1, *kernel), after


@dataclass(frozen=True, kw_only=True)
class DepthwiseSeparable(LowRank):
    """Makes convolutions depthwise separable, until `sparsity` of their weights is gone; other layers stay."""

    name = "depthwise-separable"
    sparsity: float = bounded(0.75, ge=0.0, lt=1.0)  # fraction of the convolutions' weights removed in the end
    linear: Decomposition = field(default_factory=SVD)
    convolution: Decomposition = field(default_factory=Depthwise)
    teacher: Literal["none", "original"] = "none"
    weight: float = bounded(0.7, ge=0.0, lt=1.0)  # a: of the teacher's answers in the loss
    temperature: float = bounded(4.0, gt=0.0)  # T: of the teacher's answers

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> LowRankTraining:
        """Begins; see `LowRank.start`.

        Raises:
            ModelError: The model has no convolution with a kernel, or a pattern matches none.
        """
        weights = prunable_weights(model, self.layers, self.exclude)
        others = tuple(weight.name for weight in weights if weight.weight[0, 0].numel() == 1)
        if len(others) == len(weights):
            found = ", ".join(f"{weight.name} {tuple(weight.weight.shape)}" for weight in weights)
            raise ModelError(f"{self.name}: no layer of this model is a convolution with a kernel; it has: {found}")
        method = self.replace(exclude=(*self.exclude, *others))
        kind = LowRankTraining if self.teacher == "none" else TaughtTraining
        return kind(method, model, task, epochs=epochs)


class TaughtTraining(LowRankTraining):
    """The state of one run in which the network before the cut teaches the one after it."""

    def __init__(self, method: DepthwiseSeparable, model: nn.Module, task: Task, *, epochs: int) -> None:
        self._how = SoftTargets(weight=method.weight, temperature=method.temperature)
        self._teaching: Teaching | None = None
        super().__init__(method, model, task, epochs=epochs)

    def penalty(self) -> Tensor | None:
        """Returns the method's penalty before the cut, and what the teacher adds after it."""
        return super().penalty() if self._teaching is None else self._teaching.loss()

    def after_backward(self) -> None:
        """Gives labels and teacher their shares."""
        if self._teaching is not None:
            self._teaching.scale_gradients()

    def training_cost(self) -> float:
        """Returns the cost of a step, with the teacher's forward pass."""
        return super().training_cost() + (0.0 if self._teaching is None else 1.0)

    def finish(self) -> nn.Module:
        """Lets the teacher go, and returns the model."""
        model = super().finish()
        if self._teaching is not None:
            self._teaching.end()
        return model

    def state_dict(self) -> dict[str, Any]:
        """Returns the teacher's weights beside the rest."""
        teacher = {} if self._teaching is None else dict(self._teaching.teacher.state_dict())
        return {**super().state_dict(), "teacher": teacher}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        if state["teacher"]:
            if self._teaching is None:
                self._teaching = Teaching(self.model, self._how)
            self._teaching.teacher.load_state_dict(state["teacher"])
        super().load_state_dict({key: value for key, value in state.items() if key != "teacher"})

    def _factorize(self, optimizer: Optimizer | None) -> None:
        self._teaching = Teaching(self.model, self._how)
        super()._factorize(optimizer)


DEPTHWISE_SEPARABLE = register(
    "depthwise-separable",
    DepthwiseSeparable(),
    summary="Train, make convolutions depthwise separable by the nearest kernels of each channel, train on.",
    paper="cnn-compression-survey",
)
