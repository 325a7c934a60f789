"""Sparse training: sparse from the first step, the few weights move to where they are needed.

Every ΔT steps, in each layer, a fraction ζ of the weights is dropped and as many are grown, among the removed
and the just dropped ones; grown weights start at zero. ζ falls from ζ_0 to ζ_end along a half cosine over the
training. The number of weights never changes, so memory and arithmetic of the sparse network are all that
training needs, but for the dense gradients that some growth rules look at. Which weights to drop and to grow
is a matter of a score and a growth: RigL and SET are two points.

Order of one update, as in the engine of Peng et al., "Towards sparsification of graph neural networks", ICCD
2022: the optimiser's step, masks on weights and momentum, drop by the stepped weights, grow by the gradient
of that step's mini-batch. Ours: exact counts with ties by index; initial masks of exactly the budget instead
of a coin for each weight; no update after the last step, whose grown weights nothing would train; whole SIMD
blocks can be dropped and grown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.errors import SettingError
from gossamer.prune.allocation import Allocation, ErdosRenyiKernel
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import Granularity, SIMDBlocks, SingleWeights
from gossamer.prune.growth import AtRandom, ByGradient, Growth
from gossamer.prune.masks import Masks, choose
from gossamer.prune.moves import Moves
from gossamer.prune.scores import Magnitude, Random, Score
from gossamer.prune.selection import GONE, Groups, select, top
from gossamer.prune.weights import PrunableWeight, prunable_weights
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class DropAndGrow(Method):
    """Trains at `sparsity` from the first step to the last."""

    name = "drop-and-grow"
    knob = "sparsity"
    knobs = ("drop", "grow", "first", "allocation", "granularity")
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights that is zero
    drop: Score = field(default_factory=Magnitude)  # the lowest are dropped
    grow: Growth = field(default_factory=ByGradient)
    initial: Score = field(default_factory=Random)  # which weights to begin with; `Magnitude` suits a trained network
    first: float = bounded(0.5, gt=0.0, le=1.0)  # ζ_0: fraction of the weights moved at the beginning
    last: float = bounded(0.005, ge=0.0, le=1.0)  # ζ_end: at the end
    every: int = bounded(50, ge=1)  # ΔT: training steps between updates
    until: float = bounded(1.0, ge=0.0, le=1.0)  # fraction of the training with updates; RigL: 0.75; 0 = none moves
    allocation: Allocation = field(default_factory=ErdosRenyiKernel)
    granularity: Granularity = field(default_factory=SingleWeights)
    rescale: bool = False  # whether the first weights are divided by the root of their layer's density
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense
    batches: int = bounded(8, ge=1)  # training batches over which `initial` averages gradients, where it needs them
    backend: Literal["masked", "stored"] = "masked"  # "stored": layers that hold, train and multiply nonzeros only

    def __post_init__(self) -> None:
        """Checks that groups can come back, and that ζ falls, as well as the ranges."""
        super().__post_init__()
        if not self.granularity.regrows:
            raise SettingError(
                f"drop-and-grow: granularity is {self.granularity.name!r}, which cannot grow back from zero; "
                "use 'single-weights' or 'simd-blocks'"
            )
        if not self.drop.local:
            raise SettingError(
                f"drop-and-grow: drop is {self.drop.name!r}, which looks at more than a weight and its gradient; "
                "use 'magnitude', 'signed-rank', 'gradient', 'taylor' or 'random'"
            )
        if self.backend == "stored":
            self._check_stored()
        if self.last > self.first:
            raise SettingError(
                f"drop-and-grow: first is {self.first:g} and last is {self.last:g}; expected last <= first"
            )

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> Compression:
        """Begins: masks the weights the model has, at full sparsity, or stores those that stay.

        Raises:
            ModelError: The model has no prunable weight, a pattern matches none, or a layer cannot be stored.
        """
        weights = prunable_weights(model, self.layers, self.exclude)
        masked = SparseTraining(self, model, task, weights, epochs=epochs)
        if self.backend == "masked":
            return masked
        from gossamer.prune.stored import StoredTraining

        return StoredTraining(self, masked, task)

    def _check_stored(self) -> None:
        if not isinstance(self.drop, Magnitude) or self.drop.power != 1.0:
            raise SettingError(
                f"drop-and-grow: backend 'stored' drops by 'magnitude' of power 1, not by {self.drop.name!r}; "
                "change drop, or use backend 'masked'"
            )
        if not isinstance(self.grow, ByGradient | AtRandom):
            raise SettingError(
                f"drop-and-grow: backend 'stored' grows 'by-gradient' or 'at-random', not {self.grow.name!r}; "
                "change grow, or use backend 'masked'"
            )
        if isinstance(self.granularity, SIMDBlocks) and self.granularity.rows != 16:
            raise SettingError(
                f"simd-blocks: rows is {self.granularity.rows}; backend 'stored' has blocks of 16 rows, "
                "so set rows to 16, or use backend 'masked'"
            )

    def moves(self, steps: int) -> Moves:
        """Returns when weights move in a training of so many steps, and how many."""
        return Moves(steps, self.every, self.until, self.first, self.last)


class SparseTraining(Compression):
    """The state of one run of `DropAndGrow`; it has its final sparsity all along."""

    def __init__(
        self,
        method: DropAndGrow,
        model: nn.Module,
        task: Task,
        weights: tuple[PrunableWeight, ...],
        *,
        epochs: int,
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._masks = Masks(weights)
        self._moves = method.moves(epochs * task.steps())
        self._step = 0
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._dense: dict[str, Tensor] = {}  # gradients of all weights, or their running sums
        self._share = ForwardShare.count(model, task.example(), self._masks)

        observed = method.initial.gather(model, task, weights, batches=method.batches)
        scores = {
            weight.name: method.initial.score(weight.weight, observed.get(weight.name), self._generator)
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
        self._masks.apply_to_weights()
        if method.rescale:
            self._rescale()
        self._budgets = self._masks.nonzeros()
        self._tried = dict(self._masks.keep)

    def _rescale(self) -> None:
        """Gives each layer's output the variance it would have with all weights, which else falls layer by layer."""
        with torch.no_grad():
            for weight in self._masks.weights:
                density = float(self._masks.keep[weight.name].float().mean())
                if density > 0.0:
                    weight.weight.mul_(density**-0.5)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = keep."""
        return dict(self._masks.keep)

    @property
    def weights(self) -> tuple[PrunableWeight, ...]:
        """What is trained sparsely."""
        return self._masks.weights

    @property
    def share(self) -> float:
        """What a forward pass costs, over that of the dense network; it never changes."""
        return self._share.of(self._masks)

    def after_backward(self) -> None:
        """Remembers the dense gradients if they will be needed, then masks them."""
        method = self._method
        upcoming = self._step + 1
        at_updates = method.grow.dense_gradient == "at updates" or method.drop.needs_gradient
        always = method.grow.dense_gradient == "always" and upcoming <= self._moves.final
        if always or (at_updates and self._moves.at(upcoming)):
            for weight in self._masks.weights:
                gradient = weight.weight.grad
                if gradient is not None:
                    self._dense[weight.name] = method.grow.remember(self._dense.get(weight.name), gradient)
        self._masks.apply_to_gradients()

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Masks the weights; every ΔT steps drops and grows."""
        self._step += 1
        self._masks.apply_to_weights()
        if self._moves.at(self._step):
            self._update(optimizer)

    def training_cost(self) -> float:
        """Returns the mean cost of a step, by the rule of the growth; 3·f_S / f_D once updates are over."""
        share = self._share.of(self._masks)
        if self._step >= self._moves.final:
            return 3.0 * share
        return self._method.grow.step_cost(share, self._method.every)

    def target_nonzeros(self) -> dict[str, int]:
        """Returns how many weights of each parameter are active."""
        return self._masks.nonzeros()

    def notes(self) -> tuple[str, ...]:
        """Says so where no weight ever moved."""
        return self._moves.remark()

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def finish(self) -> nn.Module:
        """Returns the model, whose removed weights are exactly zero."""
        self._masks.apply_to_weights()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns counters, masks, gradients that outlive a step, and the state of chance."""
        return {
            "step": self._step,
            "masks": dict(self._masks.keep),
            "budgets": dict(self._budgets),
            "tried": dict(self._tried),
            "dense": dict(self._dense),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step = state["step"]
        self._masks.replace(state["masks"])
        self._budgets = dict(state["budgets"])
        self._tried = dict(state["tried"])
        self._dense = dict(state["dense"])
        self._generator.set_state(state["generator"])

    def fraction(self, step: int) -> float:
        """Returns ζ: the fraction of the weights that an update at this step moves."""
        return self._moves.fraction(step)

    def _update(self, optimizer: Optimizer | None) -> None:
        """Drops, then grows, in every layer; what is grown starts at zero with zero momentum."""
        zeta = self.fraction(self._step)
        survivors, grown = {}, {}
        for weight in self._masks.weights:
            survivors[weight.name], grown[weight.name] = self._move(weight, zeta)
        self._masks.replace(survivors)
        self._masks.apply_to_weights()
        self._masks.apply_to_state(optimizer)
        self._masks.replace({name: survivors[name] | grown[name] for name in survivors})
        self._tried = {name: self._tried[name].to(mask.device) | mask for name, mask in self._masks.keep.items()}
        if self._method.grow.dense_gradient != "always":
            self._dense = {}

    def _move(self, weight: PrunableWeight, zeta: float) -> tuple[Tensor, Tensor]:
        """Returns the masks (R, C) of the weights that survive and of those that are grown."""
        method, granularity = self._method, self._method.granularity
        rows, columns = weight.rows, weight.columns
        gradient = self._dense.get(weight.name)
        if gradient is None:
            gradient = torch.zeros_like(weight.weight)
        active = granularity.active(self._masks.of(weight))
        count = int(active.sum())

        observed = method.drop.observe(weight.weight, gradient) if method.drop.needs_gradient else None
        worth = granularity.pool(weight.matrix(method.drop.score(weight.weight, observed, self._generator)))
        stay = top(worth.masked_fill(~active, GONE), count - math.ceil(zeta * count))
        survivors = granularity.expand(stay, rows, columns)

        tried = weight.matrix(self._tried[weight.name].to(weight.weight.device))
        promise = granularity.pool(method.grow.score(weight.matrix(gradient), tried, self._generator))
        sizes = granularity.sizes(rows, columns).to(promise.device)
        candidates = Groups(weight.name, tuple(weight.weight.shape), promise.masked_fill(stay, GONE), sizes)
        grown = select(candidates, self._budgets[weight.name] - int(survivors.sum()), least=0)
        shape = weight.weight.shape
        return survivors.reshape(shape), granularity.expand(grown, rows, columns).reshape(shape)
