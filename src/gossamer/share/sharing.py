"""Weights that share a number: trains, ties them, and goes on training the numbers.

Up to `at` of the training nothing happens. Then each layer takes its form (`nn.sharing`): every weight becomes the
number of its group, which begins as the mean of them, and from there on a step moves all weights of a group by what the
sum of their gradients says, which is the gradient of the number that they share (Han, Mao & Dally, "Deep Compression",
ICLR 2016, §3.3). Weights are tied on the parameters themselves, so any optimiser and any module work; forms that are
stored as numbers of their own give the layer a module of its own at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.errors import ModelError
from gossamer.nn.sharing import Form, Tie, shared_like
from gossamer.prune.weights import PrunableWeight, prunable_weights
from gossamer.settings import bounded
from gossamer.structure.edits import replace_module
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Sharing(Method):
    """The family of methods that tie weights; a member says what form a layer takes."""

    at: float = bounded(0.5, ge=0.0, le=1.0)  # fraction of the training before weights are tied
    gradient: Literal["sum", "mean"] = "sum"  # of a number; the mean suits the learning rates of plain SGD
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to tie
    exclude: tuple[str, ...] = ()  # patterns of those to leave alone

    def form(self, shape: tuple[int, ...], seed: int) -> Form | None:
        """Returns the form of a weight of this shape; None where it would not make it smaller, or does not suit it.

        Args:
            shape: (outputs, inputs, *kernel).
            seed: A number of the layer's own.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define form()")

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> TiedTraining:
        """Begins; at 0, weights are tied at once.

        Raises:
            ModelError: No weight can take the form, or a pattern matches none.
        """
        weights = prunable_weights(model, self.layers, self.exclude)
        forms = {weight.name: self.form(tuple(weight.weight.shape), place) for place, weight in enumerate(weights)}
        chosen = [
            (weight, form)
            for weight in weights
            if (form := forms[weight.name]) is not None and (not form.stored or _replaceable(model, weight, form))
        ]
        if not chosen:
            found = ", ".join(f"{weight.name} {tuple(weight.weight.shape)}" for weight in weights)
            raise ModelError(f"{self.name}: no layer of this model can take its form and be smaller; it has: {found}")
        tied = {weight.name for weight, _ in chosen}
        left = tuple(weight.name for weight in weights if weight.name not in tied)
        return TiedTraining(self, model, chosen, left, epochs=epochs, steps=epochs * task.steps())


class TiedTraining(Compression):
    """The state of one run of a `Sharing`."""

    def __init__(
        self,
        method: Sharing,
        model: nn.Module,
        chosen: list[tuple[PrunableWeight, Form]],
        left: tuple[str, ...],
        *,
        epochs: int,
        steps: int,
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._chosen = chosen
        self._left = left  # names of prunable weights that are not tied
        self._first = round(method.at * steps)  # the step after which weights are tied
        self._step = 0
        self._codes: dict[str, Tensor] = {}
        self._ties: dict[str, Tie] = {}
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        if self._first == 0:
            self._tie(None)

    @property
    def settled(self) -> bool:
        """True once weights are tied."""
        return bool(self._ties)

    @property
    def ties(self) -> dict[str, Tie]:
        """Which weights share a number, by parameter name; empty before they do."""
        return dict(self._ties)

    @torch.no_grad()
    def after_backward(self) -> None:
        """Gives every weight the gradient of the number it shares."""
        for weight, tie in self._tied():
            gradient = weight.weight.grad
            if gradient is not None:
                shared = tie.sums(gradient)
                if self._method.gradient == "mean":
                    shared = shared / tie.counts.clamp(min=1)
                gradient.copy_(tie.spread(shared))

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Ties weights when it is time; later, keeps rounding from parting them."""
        self._step += 1
        if not self.settled:
            if self._step >= self._first:
                self._tie(optimizer)
            return
        for weight, tie in self._tied():
            weight.weight.copy_(tie.spread(tie.means(weight.weight)))

    def finish(self) -> nn.Module:
        """Ties weights if that is still to be done, and gives layers their modules; returns the model."""
        if not self.settled:
            self._tie(None)
        for weight, form in self._chosen:
            if form.stored:
                layer = self.model.get_submodule(weight.layer)
                shared = shared_like(layer, form).to(weight.weight.device)
                shared.weights.take(weight.weight, self._codes.get(weight.name))
                self.model = replace_module(self.model, layer, shared.train(layer.training))
        return self.model

    def notes(self) -> tuple[str, ...]:
        """Names the weights that stay as they are."""
        if not self._left:
            return ()
        return (f"Not shared, as they cannot take the form or would not be smaller: {', '.join(self._left)}.",)

    def report(self) -> dict[str, Any]:
        """Returns how many numbers each tied weight has, and what form."""
        return {
            "shared": [
                {"name": weight.name, "weights": weight.weight.numel(), "form": form.to_json()}
                for weight, form in self._chosen
            ]
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns the step, the codes and the state of chance."""
        return {
            "step": self._step,
            "tied": self.settled,
            "codes": dict(self._codes),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step, self._codes = state["step"], dict(state["codes"])
        self._generator.set_state(state["generator"])
        self._ties = self._made() if state["tied"] else {}

    @torch.no_grad()
    def _tie(self, optimizer: Optimizer | None) -> None:
        """Chooses codes, gives weights the number of their group, and forgets what the optimiser remembers of them."""
        for weight, form in self._chosen:
            codes = form.codes(weight.weight.detach(), self._generator)
            if codes is not None:
                self._codes[weight.name] = codes
        self._ties = self._made()
        for weight, form in self._chosen:
            tie = self._ties[weight.name]
            weight.weight.copy_(tie.spread(form.begin(weight.weight, tie)))
            if optimizer is not None:
                optimizer.state.pop(weight.weight, None)

    def _made(self) -> dict[str, Tie]:
        return {
            weight.name: form.tie(tuple(weight.weight.shape), self._codes.get(weight.name)).to(weight.weight.device)
            for weight, form in self._chosen
        }

    def _tied(self) -> list[tuple[PrunableWeight, Tie]]:
        """Returns the weights that are tied; ties follow weights that were moved to another device."""
        for weight, _ in self._chosen if self._ties else []:
            if self._ties[weight.name].group.device != weight.weight.device:
                self._ties[weight.name] = self._ties[weight.name].to(weight.weight.device)
        return [(weight, self._ties[weight.name]) for weight, _ in self._chosen] if self._ties else []


def _replaceable(model: nn.Module, weight: PrunableWeight, form: Form) -> bool:
    """Says whether the form suits a weight that is all its layer has beside a bias and that is of no other layer."""
    layer = model.get_submodule(weight.layer)
    if not form.suits(tuple(weight.weight.shape)):
        return False
    if isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        return False
    owners = {
        id(module) for module in model.modules() if any(one is weight.weight for one in module._parameters.values())
    }
    return set(layer._parameters) <= {"weight", "bias"} and not layer._modules and len(owners) == 1
