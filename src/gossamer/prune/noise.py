"""Learns with noise on the weights which of them can go: each has a number of its own that training moves too.

Up to a point of the training the network computes with noisy weights; gradients of what it computes with become, by the
chain rule, those of the weight and of its number, to which a penalty adds the wish for fewer weights. Then the weights
with the lowest worth are removed, exactly as many as asked for, the noise ends, and the rest of the training retrains.
What the noise is, is a `Noise`: `l0` and `variational_dropout` have one each. The numbers are trained by Adam with a
rate of their own. Validation before the removal sees a noisy network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.prune.allocation import Allocation, Global
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import SingleWeights
from gossamer.prune.masks import Masks, choose
from gossamer.prune.weights import PrunableWeight, prunable_weights
from gossamer.settings import Settings, bounded
from gossamer.tasks.task import Task

_BETAS, _TINY = (0.9, 0.999), 1e-8  # Adam's


class Gradients(NamedTuple):
    """Of a weight and of its number, in the weight's shape."""

    weight: Tensor
    number: Tensor


@dataclass(frozen=True, kw_only=True)
class Noise(Settings):
    """A family: how the numbers beside the weights act on them. Everything is in the shape of the weight."""

    def begin(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns the numbers to begin with."""
        raise TypeError(f"{type(self).__name__} is abstract: define begin()")

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns the chance of one step."""
        raise TypeError(f"{type(self).__name__} is abstract: define draw()")

    def noisy(self, weight: Tensor, number: Tensor, chance: Tensor) -> Tensor:
        """Returns the weight that the network computes with."""
        raise TypeError(f"{type(self).__name__} is abstract: define noisy()")

    def back(self, weight: Tensor, number: Tensor, chance: Tensor, gradient: Tensor) -> Gradients:
        """Returns what a gradient of `noisy` is for the weight and for the number."""
        raise TypeError(f"{type(self).__name__} is abstract: define back()")

    def penalty(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns the penalty of each weight."""
        raise TypeError(f"{type(self).__name__} is abstract: define penalty()")

    def press(self, weight: Tensor, number: Tensor) -> Gradients:
        """Returns the gradients of the sum of `penalty`."""
        raise TypeError(f"{type(self).__name__} is abstract: define press()")

    def clean(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns the weight without noise."""
        raise TypeError(f"{type(self).__name__} is abstract: define clean()")

    def worth(self, weight: Tensor, number: Tensor) -> Tensor:
        """Returns a score a weight; higher = keep."""
        raise TypeError(f"{type(self).__name__} is abstract: define worth()")


@dataclass(frozen=True, kw_only=True)
class NoisyWeights(Method):
    """Trains with noise until `at`, then removes down to `sparsity` and retrains."""

    name = "noisy-weights"
    knob = "sparsity"
    knobs = ("strength", "at", "allocation")
    noise: Noise
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights removed in the end
    strength: float = bounded(1.0, ge=0.0)  # of the mean penalty of a weight, in the loss; it grows from 0 until `at`
    rate: float = bounded(0.05, gt=0.0)  # learning rate of the numbers
    at: float = bounded(0.5, ge=0.0, le=1.0)  # fraction of the training with noise
    allocation: Allocation = field(default_factory=Global)
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense

    def __post_init__(self) -> None:
        """Checks that the allocation needs no scan as well as the ranges."""
        super().__post_init__()
        self.allocation.require_no_scan(self.name)

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> NoisyTraining:
        """Begins: from here on the network computes with noisy weights.

        Raises:
            ModelError: The model has no prunable weight, or a pattern matches none.
        """
        return NoisyTraining(self, model, task, prunable_weights(model, self.layers, self.exclude), epochs=epochs)


class NoisyTraining(Compression):
    """The state of one run of `NoisyWeights`."""

    def __init__(
        self, method: NoisyWeights, model: nn.Module, task: Task, weights: tuple[PrunableWeight, ...], *, epochs: int
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._masks = Masks(weights)
        self._share = ForwardShare.count(model, task.example(), self._masks)
        self._size = sum(weight.weight.numel() for weight in weights)
        self._last = round(method.at * epochs * task.steps())  # the last step with noise
        self._step = 0
        self._done = False
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        noise, draw = method.noise, self._generator
        self._number = {weight.name: noise.begin(weight.weight.detach(), draw) for weight in weights}
        self._first = {name: torch.zeros_like(value) for name, value in self._number.items()}
        self._second = {name: torch.zeros_like(value) for name, value in self._number.items()}
        self._weight: dict[str, Tensor] = {}  # without noise
        self._chance: dict[str, Tensor] = {}
        if self._last:
            self._disturb()
        else:
            self._remove()

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = keep; empty before the removal."""
        return dict(self._masks.keep)

    @property
    def settled(self) -> bool:
        """True after the removal."""
        return self._done

    @torch.no_grad()
    def after_backward(self) -> None:
        """Puts the weights back with their own gradients and moves the numbers; after the removal masks gradients."""
        if self._done:
            self._masks.apply_to_gradients()
            return
        noise = self._method.noise
        pull = self._method.strength * (self._step + 1) / self._last / self._size
        for weight in self._masks.weights:
            name, gradient = weight.name, weight.weight.grad
            value, number = self._weight[name], self._number[name]
            back = noise.back(
                value, number, self._chance[name], torch.zeros_like(value) if gradient is None else gradient
            )
            press = noise.press(value, number)
            weight.weight.copy_(value)
            if gradient is not None:
                gradient.copy_(back.weight + pull * press.weight)
            self._adam(name, back.number + pull * press.number)

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Disturbs the weights anew; when the time has come removes some, after which masks hold them at zero."""
        self._step += 1
        if self._done:
            self._masks.apply_to_weights()
        elif self._step < self._last:
            self._disturb()
        else:
            self._remove()
            self._masks.apply_to_state(optimizer)

    def training_cost(self) -> float:
        """Returns 3, that of a dense step; 3·f_S / f_D after the removal."""
        return 3.0 * self._share.of(self._masks)

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns how many weights of each parameter stay; None before the removal."""
        return self._masks.nonzeros() if self._done else None

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    @torch.no_grad()
    def finish(self) -> nn.Module:
        """Removes weights if that is still to be done, and returns the model, without noise."""
        if not self._done:
            for weight in self._masks.weights:
                weight.weight.copy_(self._weight[weight.name])
            self._remove()
        self._masks.apply_to_weights()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns counters, masks, weights without noise, their numbers and the state of chance."""
        return {
            "step": self._step,
            "done": self._done,
            "masks": dict(self._masks.keep),
            "number": dict(self._number),
            "first": dict(self._first),
            "second": dict(self._second),
            "weight": dict(self._weight),
            "chance": dict(self._chance),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step, self._done = state["step"], state["done"]
        self._masks.clear()
        self._masks.replace(state["masks"])
        self._number, self._first, self._second = dict(state["number"]), dict(state["first"]), dict(state["second"])
        self._weight, self._chance = dict(state["weight"]), dict(state["chance"])
        self._generator.set_state(state["generator"])

    @torch.no_grad()
    def _disturb(self) -> None:
        """Remembers the weights and puts noisy ones in their place."""
        noise = self._method.noise
        for weight in self._masks.weights:
            name, value = weight.name, weight.weight.detach().clone()
            self._weight[name], self._chance[name] = value, noise.draw(value, self._generator)
            weight.weight.copy_(noise.noisy(value, self._number[name], self._chance[name]))

    @torch.no_grad()
    def _remove(self) -> None:
        """Removes the lowest worth; the weights that stay are those without noise."""
        method = self._method
        worth = {
            weight.name: method.noise.worth(weight.weight.detach(), self._number[weight.name])
            for weight in self._masks.weights
        }
        for weight in self._masks.weights:
            weight.weight.copy_(method.noise.clean(weight.weight.detach(), self._number[weight.name]))
        chosen = choose(
            self._masks, worth, granularity=SingleWeights(), allocation=method.allocation, sparsity=method.sparsity
        )
        self._masks.replace(chosen)
        self._masks.apply_to_weights()
        self._weight, self._chance, self._done = {}, {}, True

    def _adam(self, name: str, gradient: Tensor) -> None:
        """Moves the numbers of a weight by a step of Adam."""
        (slow, slower), step = _BETAS, self._step + 1
        first = self._first[name] = slow * self._first[name] + (1.0 - slow) * gradient
        second = self._second[name] = slower * self._second[name] + (1.0 - slower) * gradient.square()
        size = (second / (1.0 - slower**step)).sqrt() + _TINY
        self._number[name] = self._number[name] - self._method.rate * first / (1.0 - slow**step) / size
