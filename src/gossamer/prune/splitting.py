"""Pruning by splitting: the weights are trained towards a pruned copy of themselves, so that the cut hurts little.

The training has four parts: it trains as usual (`pretrain`), trains towards the copy, which is projected anew
every few epochs while multipliers move (`multipliers`; the papers have hundreds of steps between two projections, a
full-batch epoch has one, so there `least_steps` says when), cuts the weights to their own projection, and trains
what is left (`retrain`). What the network could do right after the cut is in the result's report. Which rule
moves the multipliers is a choice: `slr` and `admm` are two.

The projection keeps, of each layer, the groups with the largest norm, as many as the allocation says: the nearest
point of the sparse set where groups are of one size. Biases go with their rows where whole filters go; they are
split as well, and have no say in which rows stay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.errors import SettingError, TrainingError
from gossamer.prune.allocation import Allocation, Uniform
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import Granularity, SingleWeights
from gossamer.prune.masks import Masks, choose, require_fit, weights_for
from gossamer.prune.multipliers import Multipliers, Split, Surrogate, Tensors, Updates
from gossamer.prune.weights import PrunableWeight
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Splitting(Method):
    """Trains towards a pruned copy, then cuts."""

    name = "splitting"
    paper = "slr"
    knob = "sparsity"
    knobs = ("rho", "multipliers", "granularity", "allocation")
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights removed in the end
    multipliers: Multipliers = field(default_factory=Surrogate)
    rho: float = bounded(0.1, gt=0.0)  # weight of the distance to the copy
    every: int = bounded(1, ge=1)  # epochs between two projections
    least_steps: int = bounded(10, ge=1)  # between two projections: more epochs where these have fewer
    pretrain: float = bounded(0.25, ge=0.0, lt=1.0)  # fraction of the epochs before; 0 for a trained network
    retrain: float = bounded(0.25, ge=0.0, lt=1.0)  # fraction of the epochs after the cut
    granularity: Granularity = field(default_factory=SingleWeights)
    allocation: Allocation = field(default_factory=Uniform)
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense

    def __post_init__(self) -> None:
        """Checks that the choices fit together as well as the ranges."""
        super().__post_init__()
        require_fit(self.name, self.granularity, self.allocation, self.sparsity)
        if self.pretrain + self.retrain >= 1.0:
            raise SettingError(
                f"splitting: pretrain is {self.pretrain:g} and retrain is {self.retrain:g}; expected less than 1 "
                "together, so that something is left for training towards the copy"
            )

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> SplitTraining:
        """Begins; without epochs, cuts at once.

        Raises:
            ModelError: The model has no prunable weight that the granularity suits, or a pattern matches none.
        """
        weights = weights_for(self.granularity, model, task, self.layers, self.exclude)
        return SplitTraining(self, model, task, weights, epochs=epochs)


class SplitTraining(Compression):
    """The state of one run of `Splitting`."""

    def __init__(
        self, method: Splitting, model: nn.Module, task: Task, weights: tuple[PrunableWeight, ...], *, epochs: int
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._task = task
        self._masks = Masks(weights)
        self._share = ForwardShare.count(model, task.example(), self._masks)
        self._begin = min(round(method.pretrain * epochs), max(epochs - 1, 0))  # epochs before the split
        self._end = max(epochs - round(method.retrain * epochs), min(self._begin + 1, epochs))  # and before the cut
        self._every = min(  # epochs between two projections, of which one at least fits in
            max(method.every, -(-method.least_steps // task.steps())), max(method.every, self._end - self._begin - 1)
        )
        self._epoch = 0  # epochs that are over
        self._mean = RunningMean()
        self._loss: float | None = None  # mean of the last stretch of training
        self._updates = 0
        self._split: Split | None = None
        self._rule: Updates | None = None
        self._settled = False
        self._report: dict[str, Any] = {}
        self._advance()

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = keep; empty before the cut."""
        return dict(self._masks.keep)

    @property
    def settled(self) -> bool:
        """True after the cut."""
        return self._settled

    def after_loss(self, loss: Tensor) -> None:
        """Adds the loss to the mean by which the rule judges."""
        if not self._settled:
            self._mean.add(loss)

    def penalty(self) -> Tensor | None:
        """Returns the distance to the copy between the split and the cut; the first one is asked for at the split."""
        if self._settled or self._epoch < self._begin:
            return None
        if self._split is None:  # not before the network is on the device it will be trained on
            self._split, self._rule = self._divide()
        return self._split.penalty()

    def after_backward(self) -> None:
        """Masks the gradients after the cut."""
        self._masks.apply_to_gradients()

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Masks the weights after the cut."""
        self._masks.apply_to_weights()

    def after_epoch(self, epoch: int) -> None:
        """Projects and moves the multipliers, or cuts, where it is time to.

        Raises:
            TrainingError: The loop calls neither `after_loss` nor `penalty`, or one of them only.
        """
        self._epoch = epoch + 1
        self._advance()

    def training_cost(self) -> float:
        """Returns 3 before the cut and 3·f_S / f_D after it."""
        return 3.0 * self._share.of(self._masks)

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns how many weights of each parameter stay; None before the cut."""
        return self._masks.nonzeros() if self._settled else None

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def notes(self) -> tuple[str, ...]:
        """Says what the network could do right after the cut, and where training was too short for an update."""
        said = []
        if self.epochs and not self._updates:
            said.append(
                f"The copy was never projected anew: that happens every {self._every} epochs, and "
                f"{self._end - self._begin} of {self.epochs} lie between the split and the cut. Train for more epochs."
            )
        if "test" in self._report and self._end < self.epochs:
            metric, value = next(iter(self._report["test"].items()))
            left = self.epochs - self._end
            said.append(f"Right after the cut, before {left} more epochs, test {metric} was {value:.4g}.")
        return tuple(said)

    def report(self) -> dict[str, Any]:
        """Returns what was measured at the cut of a trained network; {} before it.

        `residual` is ‖W − Z‖ / ‖W‖ right before the cut, `val` and `test` are the metrics right after it, `updates`
        is the number of projections; what the rule says of itself follows.
        """
        return dict(self._report)

    def finish(self) -> nn.Module:
        """Cuts if that is still to be done and returns the model, whose removed weights are exactly zero."""
        if not self._settled:
            self._cut()
        self._masks.apply_to_weights()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns counters, the split and its rule, the running mean, masks and the report."""
        return {
            "epoch": self._epoch,
            "mean": self._mean.state_dict(),
            "loss": self._loss,
            "updates": self._updates,
            "split": None if self._split is None else self._split.state_dict(),
            "rule": None if self._rule is None else self._rule.state_dict(),
            "settled": self._settled,
            "masks": dict(self._masks.keep),
            "report": dict(self._report),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._epoch, self._loss, self._updates = state["epoch"], state["loss"], state["updates"]
        self._mean.load_state_dict(state["mean"])
        self._settled, self._report = state["settled"], dict(state["report"])
        self._masks.clear()
        self._masks.replace(state["masks"])
        self._split = self._rule = None
        if state["split"] is not None:
            self._split, self._rule = self._divide()
            self._split.load_state_dict(state["split"])
            self._rule.load_state_dict(state["rule"])

    def project(self, values: Tensors) -> Tensors:
        """Returns tensors cut to the sparse set, by parameter name; there must be one for each prunable weight."""
        return {name: values[name] * mask.reshape(values[name].shape) for name, mask in self._choice(values).items()}

    def _choice(self, values: Tensors) -> Tensors:
        """Returns the masks of the groups with the largest norm."""
        method = self._method
        return choose(
            Masks(self._masks.weights),
            {weight.name: values[weight.name].square() for weight in self._masks.weights},
            granularity=method.granularity,
            allocation=method.allocation,
            sparsity=method.sparsity,
        )

    def _advance(self) -> None:
        """Does what comes after `self._epoch` epochs."""
        if self._settled:
            return
        if self._epoch >= self._end:
            self._cut()
        elif self._epoch <= self._begin:
            self._loss = self._mean.take()
        elif (self._epoch - self._begin) % self._every == 0:
            loss = self._mean.take()
            if loss is None or self._rule is None:
                raise TrainingError(
                    "splitting was not told the loss, or not asked for its penalty; call run.after_loss(loss.detach()) "
                    "and run.penalty() for every batch"
                )
            self._rule.update(loss, loss if self._loss is None else self._loss)
            self._loss = loss
            self._updates += 1

    def _divide(self) -> tuple[Split, Updates]:
        """Returns the split of the weights as they are, and its rule at the start."""
        parameters = {weight.name: weight.weight for weight in self._masks.weights}
        if self._method.granularity.removes_outputs:
            parameters |= {weight.bias_name: weight.bias for weight in self._masks.weights if weight.bias is not None}
        split = Split(parameters, self.project, rho=self._method.rho)
        return split, self._method.multipliers.start(split)

    def _cut(self) -> None:
        """Puts the masks on, and measures what is left if the network has been trained towards it."""
        weights = {weight.name: weight.weight.detach() for weight in self._masks.weights}
        self._masks.replace(self._choice(weights))
        self._masks.apply_to_weights()
        self._settled = True
        if self._split is None or self._rule is None:
            return
        self._report = {
            "residual": self._split.residual(),
            "updates": self._updates,
            "val": self._task.evaluate(self.model, "val"),
            "test": self._task.evaluate(self.model, "test"),
            **self._rule.report(),
        }
        self._split = self._rule = None


class RunningMean:
    """The mean of losses as they come; they stay on their device until it is asked for, over all processes."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._count = 0

    def add(self, loss: Tensor) -> None:
        """Takes a scalar."""
        self._sum = loss.double() if self._sum is None else self._sum.to(loss.device) + loss.double()
        self._count += 1

    def take(self) -> float | None:
        """Returns the mean and forgets it; None where there was nothing."""
        if self._sum is None:
            return None
        both = torch.stack([self._sum, torch.full_like(self._sum, self._count)])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(both)
        self._sum, self._count = None, 0
        return float(both[0] / both[1])

    def state_dict(self) -> dict[str, Any]:
        """Returns sum and count."""
        return {"sum": self._sum, "count": self._count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._sum, self._count = state["sum"], state["count"]
