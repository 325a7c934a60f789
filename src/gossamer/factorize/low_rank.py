"""Low-rank factorisation: train, write layers as chains of smaller ones, train on.

A method says how linear layers are written and how convolutions are, when, and how far. `sparsity` is the fraction of
the prunable weights that is gone in the end; ranks follow from it for all layers together (`allocation`), by what each
layer loses at each rank. After the cut the factors are weights like any other, which the rest of the training trains.
In the optimiser they take the place of the old weight; the bias stays, and so does what the optimiser knows of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.counting import count_macs
from gossamer.deploy.changes import FactorizeLayer
from gossamer.errors import ModelError, SettingError
from gossamer.factorize.allocation import Allocation, Choice, Choices, LeastError, Ratio, choices_of
from gossamer.factorize.ceilings import Ceiling
from gossamer.factorize.decomposition import Decomposition
from gossamer.factorize.layers import Layer, find_layers
from gossamer.factorize.penalties import Penalty
from gossamer.nn.factorized import Factorized, obstacle
from gossamer.prune.inputs import input_products
from gossamer.prune.selection import kept
from gossamer.settings import bounded
from gossamer.structure.edits import replace_module, submodule
from gossamer.tasks.task import Task
from gossamer.train.optimizers import replace_parameter


@dataclass(frozen=True, kw_only=True)
class LowRank(Method):
    """Factorises layers until `sparsity` of the prunable weights is gone, or as many as ranks can remove."""

    name = "low-rank"
    knob = "sparsity"
    knobs = ("linear", "convolution", "allocation", "at")
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)  # fraction of the prunable weights removed in the end
    linear: Decomposition  # of linear layers, 1×1 convolutions, and kernels that `convolution` does not serve
    convolution: Decomposition  # of other convolutions
    allocation: Allocation = field(default_factory=LeastError)
    ceiling: Ceiling | None = None  # the highest ranks; with it, layers give up rank even where sparsity asks for none
    penalty: Penalty | None = None  # pulls weights towards low rank before they are cut
    at: float = bounded(0.5, ge=0.0, le=1.0)  # fraction of the training after which to factorise
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to factorise
    exclude: tuple[str, ...] = ()  # patterns of those to leave alone
    batches: int = bounded(8, ge=1)  # training batches that show what a layer's inputs are like, where that is needed

    def __post_init__(self) -> None:
        """Checks that linear layers can be written so, as well as the ranges."""
        super().__post_init__()
        if any(how.form != "matrix" for how in self.linear.alternatives()):
            raise SettingError(
                f"{self.name}: linear is {self.linear.name!r}, which needs a kernel that linear layers do not have; "
                "use 'svd' or 'whitened-svd'"
            )

    def way(self, layer: Layer) -> Decomposition:
        """Returns the decomposition that serves a layer."""
        if layer.pointwise or any(obstacle(layer.module, how.form) for how in self.convolution.alternatives()):
            return self.linear
        return self.convolution

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> LowRankTraining:
        """Begins; where it factorises before training, it does so at once.

        Raises:
            ModelError: The model has no layer that can be factorised, or a pattern matches none.
        """
        return LowRankTraining(self, model, task, epochs=epochs)


class LowRankTraining(Compression):
    """The state of one run of `LowRank`."""

    def __init__(self, method: LowRank, model: nn.Module, task: Task, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._task = task
        self._layers, self._stay = find_layers(model, task.example(), method.layers, method.exclude)
        if not self._layers:
            reasons = {name: reason for name, (_, reason) in self._stay.items()}
            raise ModelError(f"no layer of {type(model).__name__} can be factorised: {_by_reason(reasons)}")
        self._macs = count_macs(model, task.example()).total
        self._share = 1.0  # of those multiply-accumulates, now
        self._extra = 0.0  # cost of what the factorisation looked at, in dense forward passes
        self._step = 0
        self._at = round(method.at * epochs * task.steps())
        self._records: list[dict[str, Any]] | None = None  # what became of each layer, once it has
        self._unseen = False  # whether an optimiser goes on without being told
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        if self._at == 0:
            self._factorize(None)

    @property
    def settled(self) -> bool:
        """True once the layers are factorised."""
        return self._records is not None

    def penalty(self) -> Tensor | None:
        """Returns the method's penalty on the weights that will be cut; None afterwards."""
        penalty = self._method.penalty
        if penalty is None or self.settled:
            return None
        total: Tensor | None = None
        for layer in self._layers:
            for how in self._method.way(layer).alternatives():
                ranks = itertools.cycle(_at_share(how, layer.shape, 1.0 - self._method.sparsity))
                for matrix, rank in zip(how.unfoldings(layer.weight.weight), ranks, strict=False):
                    one = penalty.of(matrix, rank)
                    total = one if total is None else total + one
        return total

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Factorises once its time has come."""
        self._step += 1
        self._extra = 0.0
        if not self.settled and self._step >= self._at:
            self._unseen = optimizer is None
            self._factorize(optimizer)

    def training_cost(self) -> float:
        """Returns 3 times the share of the dense network's arithmetic, plus the passes that looked at inputs."""
        return 3.0 * self._share + self._extra

    def notes(self) -> tuple[str, ...]:
        """Names the weights that stay as they are, and says so where the sparsity is out of reach."""
        if self._records is None:
            return ()
        stay = {name: reason for name, (_, reason) in self._stay.items()}
        stay |= {record["name"]: record["reason"] for record in self._records if record["form"] is None}
        notes = [f"Not factorised: {_by_reason(stay)}."] if stay else []
        left, whole = self._left(), self._whole()
        if left > kept(whole, self._method.sparsity):
            notes.append(
                f"Low ranks remove {1 - left / whole:.1%} of the prunable weights, less than the "
                f"{self._method.sparsity:.1%} asked for."
            )
        if self._unseen:
            notes.append("after_step was not given the optimiser, which so does not train the factors.")
        return tuple(notes)

    def report(self) -> dict[str, Any]:
        """Returns a record a layer: name, form, ranks, full ranks, weights before and after, relative squared error."""
        if self._records is None:
            return {}
        return {"removed": 1.0 - self._left() / self._whole(), "layers": self._records}

    def finish(self) -> nn.Module:
        """Factorises if that is still to be done, and returns the model."""
        if not self.settled:
            self._factorize(None)
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns counters, what became of the layers, and the state of chance; the factors are in the model's."""
        return {
            "step": self._step,
            "share": self._share,
            "records": self._records,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned, and gives the model the chains whose weights it will be given."""
        self._step, self._share, self._records = state["step"], state["share"], state["records"]
        self._generator.set_state(state["generator"])
        for record in self._records or []:
            now = submodule(self.model, record["layer"])
            there = isinstance(now, Factorized) and (now.form, list(now.ranks)) == (record["form"], record["ranks"])
            if record["form"] is not None and not there:
                FactorizeLayer(layer=record["layer"], form=record["form"], ranks=tuple(record["ranks"])).apply(
                    self.model
                )

    def _whole(self) -> int:
        """Returns how many prunable weights there were."""
        return self._sum("weights")

    def _left(self) -> int:
        """Returns how many weights there are in their place."""
        return self._sum("left")

    def _sum(self, what: str) -> int:
        stay = sum(size for size, _ in self._stay.values())
        return stay + sum(int(record[what]) for record in self._records or [])

    @torch.no_grad()
    def _factorize(self, optimizer: Optimizer | None) -> None:
        products = self._input_products()
        choices = [self._choices(layer, products.get(layer.weight.name)) for layer in self._layers]
        fixed = sum(size for size, _ in self._stay.values())
        whole = fixed + sum(layer.weight.weight.numel() for layer in self._layers)
        chosen = self._method.allocation.choose(choices, kept(whole, self._method.sparsity) - fixed)
        self._records = []
        for layer, choice, possible in zip(self._layers, chosen, choices, strict=True):
            self._records.append(_record(layer, choice, possible))
            if choice.how is not None:
                self._replace(layer, choice, products.get(layer.weight.name), optimizer)
        self._layers = []  # lets go of the weights that are gone
        self._share = count_macs(self.model, self._task.example()).total / max(1, self._macs)

    def _input_products(self) -> dict[str, Tensor]:
        """Returns Σ x·xᵀ of the layers whose decomposition looks at it, by the name of the weight."""
        looked = [layer.weight for layer in self._layers if self._method.way(layer).by_inputs]
        if not looked:
            return {}
        self._extra += float(min(self._method.batches, self._task.steps()))
        found = input_products(self.model, self._task, looked, batches=self._method.batches, diagonal=False)
        return {name: products[0] for name, products in found.items()}

    def _choices(self, layer: Layer, products: Tensor | None) -> Choices:
        """Returns what a layer may become."""
        weight, ceiling = layer.weight.weight.detach().double(), self._method.ceiling
        ways = []
        for how in self._method.way(layer).alternatives():
            tails = how.tails(weight, products)
            highest = how.full(layer.shape) if ceiling is None else ceiling.ranks(how, weight, tails)
            ways.append((how, [tail.cpu() for tail in tails], highest))
        allocation = self._method.allocation
        per: Ratio = allocation.per if isinstance(allocation, LeastError) else "parameter"
        return choices_of(layer.shape, layer.places, ways, per=per, ceiling=ceiling is not None)

    def _replace(self, layer: Layer, choice: Choice, products: Tensor | None, optimizer: Optimizer | None) -> None:
        """Puts the chain in the layer's place, in the model and in the optimiser."""
        assert choice.how is not None
        old = layer.module
        chain = choice.how.factorize(old, *choice.ranks, products=products, generator=self._generator)
        if chain.bias is not None:
            chain[-1].bias = cast("nn.Parameter", old.bias)
        replace_module(self.model, old, chain)
        if optimizer is not None:
            new = [cast("nn.Parameter", part.weight) for part in chain]
            replace_parameter(optimizer, layer.weight.weight, new)


def _record(layer: Layer, choice: Choice, possible: Choices) -> dict[str, Any]:
    """Returns what became of a layer, as a JSON object."""
    reason = ""
    if choice.how is None:
        reason = "the sparsity is reached without" if len(possible) > 1 else "no rank would save anything"
    return {
        "layer": layer.name,
        "name": layer.weight.name,
        "form": None if choice.how is None else choice.how.form,
        "ranks": list(choice.ranks),
        "full": [] if choice.how is None else list(choice.how.full(layer.shape)),
        "weights": layer.weight.weight.numel(),
        "left": choice.weights,
        "error": choice.error,
        "reason": reason,
    }


def _at_share(how: Decomposition, shape: Sequence[int], share: float) -> tuple[int, ...]:
    """Returns the highest ranks, in proportion to the full ones, whose chain has a share of the layer's weights."""
    full = how.full(tuple(shape))
    size = torch.Size(shape).numel()
    for most in range(max(full), 0, -1):
        ranks = tuple(max(1, one * most // max(full)) for one in full)
        if how.weights(tuple(shape), ranks) <= share * size:
            return ranks
    return (1,) * len(full)


def _by_reason(stay: dict[str, str]) -> str:
    """Returns the names of weights with the reason why they stay, those of one reason together."""
    names: dict[str, list[str]] = {}
    for name, reason in stay.items():
        names.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(group)} ({reason})" for reason, group in names.items())
