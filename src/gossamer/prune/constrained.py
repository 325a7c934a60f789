"""Pruning of a network that was trained for it: under penalties that make weights few and well-conditioned.

The first part of the training, `constrain`, has a penalty on the sparsity of the weights, one on their condition, and a
random gate on each output of the layers between the first and the last; each of the three is a choice and may be left
out. Gates end where the part ends, and the mean of the weights over the last steps takes their place. From there on
another method prunes, for the rest of the epochs; `hydra`'s learned scores are the default, and any method with a
sparsity will do. The wish for good conditions stays on what that method leaves of the weights, unless `after` is off.

How well-conditioned the weights are before and after is in the result's report (`prune.spectra`). Validation before
the gates end sees a noisy network.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.counting import tensors_in
from gossamer.errors import SettingError
from gossamer.prune.constraints import Conditioning, Layer, SparsePenalty, TransformedL1
from gossamer.prune.gates import Gates
from gossamer.prune.hydra import LearnedScores
from gossamer.prune.l0 import HardConcrete
from gossamer.prune.spectra import spectra, summary
from gossamer.prune.weights import PrunableWeight, last_called, prunable_weights
from gossamer.settings import bounded
from gossamer.tasks.task import Task
from gossamer.train import Adam
from gossamer.train import Optimizer as OptimizerSettings


@dataclass(frozen=True, kw_only=True)
class Constrained(Method):
    """Trains under penalties, then prunes by another method."""

    name = "constrained"
    knob = "sparsity"
    knobs = ("sparse", "condition", "constrain")
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights removed in the end
    sparse: SparsePenalty | None = field(default_factory=TransformedL1)
    condition: Conditioning | None = field(default_factory=Conditioning)
    gates: HardConcrete | None = field(default_factory=lambda: HardConcrete(shut=0.3))
    gates_by: OptimizerSettings = field(default_factory=lambda: Adam(learning_rate=0.01, weight_decay=0.0))
    constrain: float = bounded(0.6, ge=0.0, le=1.0)  # fraction of the epochs before pruning
    average: float = bounded(0.99, ge=0.0, lt=1.0)  # of the mean of the weights, what is left a step later; 0: no mean
    after: bool = True  # whether the condition counts in pruning and after it
    pruning: Method = field(default_factory=lambda: LearnedScores(pretrain=0.0, search=0.5))  # its sparsity is ours
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names under the penalties
    exclude: tuple[str, ...] = ()  # patterns of those that are not

    def __post_init__(self) -> None:
        """Checks that the pruning has a sparsity, as well as the ranges."""
        super().__post_init__()
        if "sparsity" not in {field.name for field in dataclasses.fields(self.pruning)}:
            raise SettingError(
                f"constrained: pruning {self.pruning.name!r} has no sparsity; take a method that has, for example "
                "'learned-scores' or 'hard-masks'"
            )

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> ConstrainedTraining:
        """Begins; without epochs under penalties, pruning begins at once.

        Raises:
            ModelError: The model has no prunable weight, or a pattern matches none.
        """
        return ConstrainedTraining(self, model, task, epochs=epochs)


class ConstrainedTraining(Compression):
    """The state of one run of `Constrained`: first its own, then that of the pruning."""

    def __init__(self, method: Constrained, model: nn.Module, task: Task, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._task = task
        self._weights = prunable_weights(model, method.layers, method.exclude)
        self._examples = _examples(task)
        self._first = round(method.constrain * epochs)  # epochs under penalties
        self._pruning: Compression | None = None
        self._report: dict[str, Any] = {}
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        gated = () if method.gates is None else _between(model, task, self._weights)
        self._generator = generator
        self._gates = Gates(method.gates or HardConcrete(), gated, method.gates_by, generator)
        self._mean: dict[str, Tensor] = {}  # of the parameters, over the steps
        if self._first:
            self._gates.shake()
        else:
            self._prune()

    @property
    def settled(self) -> bool:
        """True once the pruning is."""
        return self._pruning is not None and self._pruning.settled

    def after_loss(self, loss: Tensor) -> None:
        """Tells the pruning."""
        if self._pruning is not None:
            self._pruning.after_loss(loss)

    def penalty(self) -> Tensor | None:
        """Returns the penalties on the weights; once there is a pruning, its own and the condition of what is left."""
        method = self._method
        if self._pruning is None:
            layers = [self._gates.layer(weight) for weight in self._weights]
            terms = [None if method.sparse is None else method.sparse.penalty(layers, self._examples)]
        else:
            layers = [Layer(weight.matrix(weight.weight)) for weight in self._weights]
            terms = [self._pruning.penalty()]
        if method.condition is not None and (self._pruning is None or method.after):
            terms.append(method.condition.penalty(layers))
        wanted = [term for term in terms if term is not None]
        return torch.stack(wanted).sum() if wanted else None

    def after_backward(self) -> None:
        """Takes the gates off the weights and their gradients, or tells the pruning."""
        if self._pruning is None:
            self._gates.back()
        else:
            self._pruning.after_backward()

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Adds to the mean and draws the gates anew, or tells the pruning."""
        if self._pruning is not None:
            self._pruning.after_step(optimizer)
            return
        self._remember()
        self._gates.shake()

    def after_epoch(self, epoch: int) -> None:
        """Goes over to the pruning when it is time to, or tells it."""
        if self._pruning is not None:
            self._pruning.after_epoch(epoch - self._first)
        elif epoch + 1 >= self._first:
            self._settle()
            self._prune()

    def training_cost(self) -> float:
        """Returns 3 under the penalties, and what the pruning says after that."""
        return 3.0 if self._pruning is None else self._pruning.training_cost()

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns what the pruning says, None before it."""
        return None if self._pruning is None else self._pruning.target_nonzeros()

    def notes(self) -> tuple[str, ...]:
        """Returns what the pruning says."""
        return () if self._pruning is None else self._pruning.notes()

    def report(self) -> dict[str, Any]:
        """Returns the conditions of the weights `before` and `after` the pruning; {} without training.

        Each holds `median_condition` (None = infinite), `median_nonzero_condition`, `lipschitz_bound`, and `layers`, an
        object a weight. What the pruning reports follows as `pruning`.
        """
        if not self._report:
            return {}
        inner = {} if self._pruning is None else self._pruning.report()
        return {**self._report, **({"pruning": inner} if inner else {})}

    def finish(self) -> nn.Module:
        """Prunes what is left to prune and returns the model."""
        if self._pruning is None:
            self._settle()
            self._prune()
        assert self._pruning is not None
        self.model = self._pruning.finish()
        if self._report:
            self._report["after"] = summary(spectra(self._weights))
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns gates and mean, the state of chance and the report, and the state of the pruning."""
        return {
            "gates": self._gates.state_dict(),
            "mean": dict(self._mean),
            "generator": self._generator.get_state(),
            "report": dict(self._report),
            "pruning": None if self._pruning is None else self._pruning.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._gates.load_state_dict(state["gates"])
        self._mean = {name: value.to(self._parameters()[name].device) for name, value in state["mean"].items()}
        self._generator.set_state(state["generator"])
        if state["pruning"] is not None:
            if self._pruning is None:
                self._prune()
            assert self._pruning is not None
            self._pruning.load_state_dict(state["pruning"])
        self._report = dict(state["report"])

    def _parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.model.named_parameters())

    @torch.no_grad()
    def _remember(self) -> None:
        """Moves the mean of the parameters on by a step; the weights must be free of gates."""
        kept = self._method.average
        if kept:
            for name, parameter in self._parameters().items():
                value = parameter.detach()
                self._mean[name] = torch.lerp(value, self._mean[name], kept) if name in self._mean else value.clone()

    @torch.no_grad()
    def _settle(self) -> None:
        """Ends the part under penalties: means for weights, and gates without chance on them."""
        self._gates.restore()
        for name, parameter in self._parameters().items():
            if name in self._mean:
                parameter.copy_(self._mean[name])
        self._gates.fold()
        self._mean = {}

    def _prune(self) -> None:
        """Starts the pruning, for the epochs that are left."""
        if self.epochs:
            self._report = {"before": summary(spectra(self._weights))}
        method = self._method.pruning.replace(sparsity=self._method.sparsity)
        self._pruning = method.start(self.model, self._task, epochs=max(self.epochs - self._first, 0))


def _between(model: nn.Module, task: Task, weights: tuple[PrunableWeight, ...]) -> tuple[PrunableWeight, ...]:
    """Returns the weights of all layers but the first and the one that gives the answers."""
    last = last_called(model, task.example(), weights)
    return tuple(weight for weight in weights[1:] if weight.layer != last)


def _examples(task: Task) -> int:
    """Returns about how many rows an epoch of training sees: images, or nodes of a graph."""
    rows = next((len(value) for value in tensors_in(task.example()) if value.dim()), 1)
    return max(round(task.steps() * task.examples_per_step() * rows), 1)
