"""Sparse training: sparse from the first step, the few weights move to where they are needed.

Every ΔT steps, in each layer, a fraction ζ of the weights is dropped and as many are grown, among the removed
and the just dropped ones; grown weights start at zero, unless the growth says otherwise. ζ falls from ζ_0 to
ζ_end along a half cosine over the training. The number of weights never changes, so memory and arithmetic of
the sparse network are all that training needs, but for the dense gradients that some growth rules look at.
Which weights to drop and to grow is a matter of a score and a growth: RigL and SET are two points.

Order of one update, as in the engine of Peng et al., "Towards sparsification of graph neural networks", ICCD
2022: the optimiser's step, masks on weights and momentum, drop by the stepped weights, grow by the gradient
of that step's mini-batch. Ours: exact counts with ties by index; initial masks of exactly the budget instead
of a coin for each weight; no update after the last step, whose grown weights nothing would train; whole SIMD
blocks can be dropped and grown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.errors import SettingError
from gossamer.prune.allocation import Allocation, ErdosRenyiKernel
from gossamer.prune.coactivity import Coactivity, Statistics
from gossamer.prune.ensembles import GroupToGroup, Labels, favoured, modularity
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import Granularity, SIMDBlocks, SingleWeights
from gossamer.prune.growth import AtRandom, ByGradient, Growth
from gossamer.prune.masks import Masks, choose
from gossamer.prune.moves import Moves
from gossamer.prune.scores import Magnitude, Random, Score
from gossamer.prune.selection import GONE, Groups, select, top
from gossamer.prune.weights import PrunableWeight, last_called, prunable_weights
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
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense
    dense_outputs: bool = False  # whether the layer that a prediction calls last is left dense too
    begin: Literal["kept", "rescaled", "redrawn"] = "kept"  # the first weights; see `_begin`
    in_groups: bool = False  # grow within the groups of `initial` 'group-to-group' as often as its odds say
    batches: int = bounded(8, ge=1)  # training batches over which `initial` averages gradients, where it needs them
    backend: Literal["masked", "stored"] = "masked"  # "stored": layers that hold, train and multiply nonzeros only

    def __post_init__(self) -> None:
        """Checks that groups can come back, and that ζ falls, as well as the ranges."""
        super().__post_init__()
        self.allocation.require_no_scan(self.name)
        if not self.granularity.regrows:
            raise SettingError(
                f"drop-and-grow: granularity is {self.granularity.name!r}, which cannot grow back from zero; "
                "use 'single-weights', 'vectors', 'kernels' or 'simd-blocks'"
            )
        if not (self.drop.local or self.drop.needs_correlation):
            raise SettingError(
                f"drop-and-grow: drop is {self.drop.name!r}, which looks at more than a weight and its gradient; "
                "use 'magnitude', 'signed-rank', 'gradient', 'taylor', 'coactive' or 'random'"
            )
        if self.in_groups and not isinstance(self.initial, GroupToGroup):
            raise SettingError(
                f"drop-and-grow: in_groups is True and initial is {self.initial.name!r}, which has no groups; "
                "set initial to 'group-to-group'"
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
            ModelError: The model has no prunable weight, a pattern matches none, no layer can have groups where
                `initial` asks for them, or a layer cannot be stored.
        """
        weights = prunable_weights(model, self.layers, self.exclude)
        if self.dense_outputs:
            output = last_called(model, task.example(), weights)
            weights = prunable_weights(model, self.layers, (*self.exclude, output))
        apart: tuple[str, ...] = ()
        if isinstance(self.initial, GroupToGroup):
            weights, apart = self.initial.grouped(model, weights)
        masked = SparseTraining(self, model, task, weights, epochs=epochs, apart=apart)
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
        if self.in_groups:
            raise SettingError(
                "drop-and-grow: backend 'stored' grows anywhere; set in_groups to False, or use backend 'masked'"
            )
        if not isinstance(self.granularity, SingleWeights | SIMDBlocks):
            raise SettingError(
                f"drop-and-grow: granularity is {self.granularity.name!r}; backend 'stored' has 'single-weights' "
                "and 'simd-blocks'"
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
        apart: tuple[str, ...] = (),
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._apart = apart
        self._masks = Masks(weights)
        self._moves = method.moves(epochs * task.steps())
        self._step = 0
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._dense: dict[str, Tensor] = {}  # gradients of all weights, or their running sums
        self._unwatched: set[str] = set()  # weights whose layers' activity was asked for in vain
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
        self._begin()
        self._masks.apply_to_weights()
        self._budgets = self._masks.nonzeros()
        self._tried = dict(self._masks.keep)
        self._labels: dict[str, Labels] = {}
        if isinstance(method.initial, GroupToGroup):
            self._labels = method.initial.labels(model, weights)
        watched = method.grow.watched or (Statistics() if method.drop.needs_correlation else None)
        self._activity = Coactivity(model, weights, watched) if watched and self._moves.final else None

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
        """Remembers activity and dense gradients if they will be needed, then masks the gradients."""
        if self._activity is not None:
            self._activity.take()
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
        if self._activity is not None and self._step >= self._moves.final:
            self._activity.close()

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
        """Says so where no weight ever moved, and which layers were left dense or could not be watched."""
        said = list(self._moves.remark())
        if self._apart:
            assert isinstance(self._method.initial, GroupToGroup)
            said.append(
                f"Left dense: {', '.join(self._apart)}. A layer has groups only if it has as many inputs and outputs "
                f"as there are groups, {self._method.initial.groups}, and no convolution groups of its own."
            )
        if self._unwatched:
            names = ", ".join(sorted(self._unwatched))
            said.append(f"Activity of these layers cannot be seen, so their weights moved without it: {names}.")
        return tuple(said)

    def report(self) -> dict[str, Any]:
        """Returns the modularity of each layer that has groups, and the mean over them."""
        found = {
            weight.name: modularity(weight.matrix(weight.weight.detach()), self._labels[weight.name])
            for weight in self._masks.weights
            if self._labels
        }
        return {"modularity": found, "mean_modularity": fmean(found.values())} if found else {}

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def finish(self) -> nn.Module:
        """Returns the model, whose removed weights are exactly zero."""
        if self._activity is not None:
            self._activity.close()
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
            "activity": {} if self._activity is None else self._activity.state_dict(),
            "unwatched": sorted(self._unwatched),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step = state["step"]
        self._masks.replace(state["masks"])
        self._budgets = dict(state["budgets"])
        self._tried = dict(state["tried"])
        self._dense = dict(state["dense"])
        if self._activity is not None:
            self._activity.load_state_dict(state["activity"])
        self._unwatched = set(state["unwatched"])
        self._generator.set_state(state["generator"])

    def fraction(self, step: int) -> float:
        """Returns ζ: the fraction of the weights that an update at this step moves."""
        return self._moves.fraction(step)

    def _update(self, optimizer: Optimizer | None) -> None:
        """Drops, then grows, in every layer; what is grown has zero momentum, and starts at zero or as `grow` says."""
        zeta = self.fraction(self._step)
        moves = [self._move(weight, zeta) for weight in self._masks.weights]
        self._masks.replace({move.name: move.survivors for move in moves})
        self._masks.apply_to_weights()
        self._masks.apply_to_state(optimizer)
        self._masks.replace({move.name: move.survivors | move.grown for move in moves})
        for weight, move in zip(self._masks.weights, moves, strict=True):
            if move.start is not None:
                weight.weight[move.grown] = move.start[move.grown]
        self._tried = {name: self._tried[name].to(mask.device) | mask for name, mask in self._masks.keep.items()}
        if self._method.grow.dense_gradient != "always":
            self._dense = {}
        if self._activity is not None:
            self._activity.updated()

    def _move(self, weight: PrunableWeight, zeta: float) -> _Move:
        """Returns which weights of a layer survive and which are grown, at what."""
        method, rows, columns = self._method, weight.rows, weight.columns
        shape = weight.weight.shape
        pieces = method.granularity.of(tuple(shape))
        gradient = self._dense.get(weight.name)
        if gradient is None:
            gradient = torch.zeros_like(weight.weight)
        correlation = self._correlation(weight)
        active = pieces.active(self._masks.of(weight))
        count = int(active.sum())

        observed = method.drop.observe(weight.weight, gradient) if method.drop.needs_gradient else None
        if method.drop.needs_correlation and correlation is not None:
            observed = correlation.view(shape)
        worth = pieces.pool(weight.matrix(method.drop.score(weight.weight, observed, self._generator)))
        stay = top(worth.masked_fill(~active, GONE), count - math.ceil(zeta * count))
        survivors = pieces.expand(stay, rows, columns)

        tried = weight.matrix(self._tried[weight.name].to(weight.weight.device))
        seen = correlation if method.grow.watched else weight.matrix(gradient)
        promise = pieces.pool(method.grow.score(seen, tried, self._generator)).masked_fill(stay, GONE)
        sizes = pieces.sizes(rows, columns).to(promise.device)
        budget = self._budgets[weight.name] - int(survivors.sum())
        if method.in_groups and isinstance(method.initial, GroupToGroup):
            within = pieces.active(self._labels[weight.name].within(columns).to(promise.device))
            number = budget // int(sizes.max())
            promise = favoured(promise, within, number, method.initial.odds, self._generator)
        grown = select(Groups(weight.name, tuple(shape), promise, sizes), budget, least=0)
        held = weight.matrix(weight.weight)[self._masks.of(weight)]
        start = method.grow.begin(seen, float(held.std(correction=0)))
        return _Move(
            weight.name,
            survivors.reshape(shape),
            pieces.expand(grown, rows, columns).reshape(shape),
            None if start is None else start.reshape(shape).to(weight.weight.dtype),
        )

    def _correlation(self, weight: PrunableWeight) -> Tensor | None:
        """Returns the correlations of a layer, (R, C), where they are asked for and can be had."""
        if self._activity is None:
            return None
        found = self._activity.correlation(weight)
        if found is None:
            self._unwatched.add(weight.name)
        return found

    @torch.no_grad()
    def _begin(self) -> None:
        """Gives outputs the spread that they would have with all weights; with few, it falls layer by layer.

        "rescaled": weights are divided by the root of their layer's density. "redrawn": every weight comes from
        N(0, 2 / n), n being how many inputs its output keeps, at least 1. "kept": neither, as suits weights that were
        chosen for what they are.
        """
        for weight in self._masks.weights:
            keep = self._masks.of(weight)
            if self._method.begin == "rescaled" and bool(keep.any()):
                weight.weight.div_(keep.float().mean().sqrt())
            elif self._method.begin == "redrawn":
                inputs = keep.sum(1, keepdim=True).clamp(min=1)
                drawn = torch.randn(weight.rows, weight.columns, generator=self._generator).to(weight.weight)
                weight.weight.copy_((drawn * (2.0 / inputs).sqrt()).view_as(weight.weight))


class _Move(NamedTuple):
    """What an update does to one weight; masks and start in its shape."""

    name: str
    survivors: Tensor
    grown: Tensor
    start: Tensor | None
