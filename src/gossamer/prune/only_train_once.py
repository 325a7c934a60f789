r"""Only train once: groups of weights go to exact zeros in training and are cut out, and nothing is tuned after that.

Follows Chen, Ding, Zhu, Chen, Wu, Zharkov & Liang, "OTOv3: automatic architecture-agnostic neural network training and
compression from structured pruning to erasing operators", 2023 (arXiv 2312.09411). Three stages in one training:

1. Warm-up: plain training.
2. Groups are chosen once, and pressed to zero by a `Pressing` while the others train on. A group at zero stays there.
3. As soon as as many are zero as asked for, they are cut out, which changes nothing of what the network computes; the
   smaller network trains to the end.

What a group is and which may go together is the `space`: units of layers (`UnitSpace`), or whole operators
(`OperatorSpace`). Ours: groups are cut out in the middle of the training, where the authors hold zeros to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.errors import SettingError
from gossamer.prune.pressing import DirectionAndSize, HalfSpace, Moment, Observed, Pressing, Redundancy
from gossamer.settings import bounded
from gossamer.structure.units import UnitWeights
from gossamer.tasks.task import Task


class Space(Protocol):
    """What may be cut out of a network: groups, numbered one after the other through all blocks."""

    blocks: list[UnitWeights]

    @property
    def share(self) -> float:
        """Multiply-accumulates of the network now, as a fraction of those at the start."""

    def wanted(self, ratio: float) -> int:
        """Returns how many groups are to go."""

    def choose(self, redundancy: Tensor, ratio: float, margin: float) -> Tensor:
        """Returns the groups to press, best first, (k,) int64; up to a fraction `margin` of all more than wanted."""

    def cut(self, zero: Tensor, optimizer: Optimizer | None) -> None:
        """Cuts out the groups marked True, whose weights are all zero; the space is of no further use."""

    def notes(self) -> tuple[str, ...]:
        """Returns what could not be cut out and why, in sentences."""

    def report(self) -> dict[str, Any]:
        """Returns what was cut out."""

    def state_dict(self) -> dict[str, Any]:
        """Returns what was cut out, as JSON."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cuts the same out of an untouched network."""


@dataclass(frozen=True, kw_only=True)
class OnlyTrainOnce(Method):
    """Presses groups to zero in the course of one training and cuts them out; `search` says what groups there are."""

    knob = "sparsity"
    knobs = ("redundancy", "pressing", "warm_up")
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)  # fraction of the groups that go
    warm_up: float = bounded(0.2, ge=0.0, le=1.0)  # fraction of the training before groups are chosen
    until: float = bounded(0.7, ge=0.0, le=1.0)  # fraction of the training at which the last must be zero
    redundancy: Redundancy = field(default_factory=DirectionAndSize)
    pressing: Pressing = field(default_factory=HalfSpace)

    def __post_init__(self) -> None:
        """Checks the order of the stages as well as the ranges."""
        super().__post_init__()
        if self.warm_up > self.until:
            raise SettingError(
                f"{self.name}: warm_up is {self.warm_up:g} and until is {self.until:g}; expected warm_up <= until"
            )

    def search(self, model: nn.Module, task: Task) -> Space:
        """Returns what may be cut out of the network; raises ModelError where there is nothing."""
        raise TypeError(f"{type(self).__name__} is abstract: define search()")

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> PressedToZero:
        """Begins with plain training.

        Raises:
            ModelError: Nothing can be cut out; the reasons are named.
        """
        return PressedToZero(self, model, task, self.search(model, task), epochs=epochs)


class PressedToZero(Compression):
    """The state of one run of `OnlyTrainOnce`."""

    def __init__(self, method: OnlyTrainOnce, model: nn.Module, task: Task, space: Space, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method, self._space = method, space
        steps = epochs * task.steps()
        self._first, self._last = round(method.warm_up * steps), round(method.until * steps)
        self._step = 0
        self._wanted = space.wanted(method.sparsity)
        count = sum(len(block) for block in space.blocks)
        self._chosen = torch.full((count,), -1)  # in which order groups were chosen; -1 = not chosen
        self._zero = torch.zeros(count, dtype=torch.bool)
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._forced = 0  # groups that were put to zero after the training
        self._done = self._wanted == 0
        self._parameters = dict(model.named_parameters())
        self._sizes = torch.cat(
            [torch.full((len(block),), float(block.dimension(self._parameters))) for block in space.blocks]
        )
        self._before: dict[str, Tensor] = {}  # the groups' weights before the step

    @property
    def settled(self) -> bool:
        """True once what goes is cut out."""
        return self._done

    @property
    def zero(self) -> Tensor:
        """Which groups are zero, (groups,) bool."""
        return self._zero.clone()

    @torch.no_grad()
    def after_backward(self) -> None:
        """Remembers the weights that are pressed; those at zero get no gradient."""
        self._before = {}
        if self._done or self._step < self._first:
            return
        for block in self._space.blocks:
            for member in block.members:
                parameter = self._parameters[member.tensor]
                self._before.setdefault(member.tensor, parameter.detach().clone())
        gradients = {name: gradient for name in self._before if (gradient := self._parameters[name].grad) is not None}
        for block, zero in zip(self._space.blocks, self._split(self._zero), strict=True):
            block.silence_(gradients, zero)

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Chooses groups when it is time, presses them, and cuts them out once as many are zero as asked for."""
        self._step += 1
        if not self._before:
            return
        rates = self._rates(optimizer)
        seen = self._observe(rates)
        if not bool((self._chosen >= 0).any()):
            self._choose(seen)
        moment = Moment(self._step - 1 - self._first, self._last - self._first, max(rates.values()), optimizer)
        press = self._method.pressing.press(seen, self._chosen, moment)
        new = press.zero & ~self._zero
        self._zero[self._next(new)] = True
        after = self._now()
        parts = (press.factor, press.pull, self._zero)
        for block, factor, pull, zero in zip(self._space.blocks, *map(self._split, parts), strict=True):
            if bool((factor != 1).any()):
                block.scale_(after, factor)
            if bool((pull != 0).any()):
                for member in block.members:
                    old = self._before[member.tensor]
                    away = block.factors(member, pull.to(old), old, rest=0.0)
                    after[member.tensor].sub_(old * away, alpha=rates[member.tensor])
            if bool(zero.any()):
                block.silence_(after, zero)
        self._before = {}
        if int(self._zero.sum()) >= self._wanted:
            self._cut(optimizer)

    def training_cost(self) -> float:
        """Returns 3, that of a dense step, and after the cut that of the smaller network."""
        return 3.0 * self._space.share

    def notes(self) -> tuple[str, ...]:
        """Says what could not be cut out, and what had to be put to zero after the training."""
        found = [*self._space.notes()]
        missing = self._forced or (0 if self._done else self._wanted - int(self._zero.sum()))
        if missing and self.epochs:
            found.append(
                f"{missing} of {self._wanted} groups had not come to zero by the end and were put there; train longer "
                "or press harder."
            )
        return tuple(found)

    def report(self) -> dict[str, Any]:
        """Returns how many groups there are and went, and what was cut out."""
        return {
            "groups": len(self._zero),
            "zero": int(self._zero.sum()),
            "forced": self._forced,
            **self._space.report(),
        }

    @torch.no_grad()
    def finish(self) -> nn.Module:
        """Returns the smaller network; what is not zero yet is put there."""
        if not self._done:
            if not bool((self._chosen >= 0).any()):
                self._choose(self._observe({}))
            forced = self._next((self._chosen >= 0) & ~self._zero)
            self._forced = len(forced)
            self._zero[forced] = True
            for block, zero in zip(self._space.blocks, self._split(self._zero), strict=True):
                block.silence_(self._now(), zero)
            self._cut(None)
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the step, what was chosen, what is zero, and what was cut out."""
        return {
            "step": self._step,
            "wanted": self._wanted,
            "chosen": self._chosen,
            "zero": self._zero,
            "done": self._done,
            "forced": self._forced,
            "generator": self._generator.get_state(),
            "space": self._space.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned; from an untouched network the same is cut out."""
        self._step, self._done, self._forced = state["step"], state["done"], state["forced"]
        self._wanted = state["wanted"]
        self._chosen, self._zero = state["chosen"].clone(), state["zero"].clone()
        self._generator.set_state(state["generator"])
        self._space.load_state_dict(state["space"])

    def _choose(self, seen: Observed) -> None:
        method = self._method
        redundancy = method.redundancy.of(seen, self._generator)
        chosen = self._space.choose(redundancy, method.sparsity, method.pressing.margin)
        self._wanted = min(self._wanted, len(chosen))
        self._chosen[chosen] = torch.arange(len(chosen))

    def _next(self, ready: Tensor) -> Tensor:
        """Returns which of the groups that are ready go to zero: no more than are wanted, first those chosen first.

        In a block of several, one stays, also where a rule for all groups would put all of them to zero.
        """
        rank = torch.where(self._chosen >= 0, self._chosen, len(ready)).masked_fill(~ready, 2 * len(ready))
        order = rank.argsort(stable=True)[: int(ready.sum())]
        taken: list[int] = []
        left = [int((~zero).sum()) for zero in self._split(self._zero)]
        block = torch.cat([torch.full((len(one),), place) for place, one in enumerate(self._space.blocks)]).tolist()
        for number in order.tolist():
            if len(taken) == self._wanted - int(self._zero.sum()):
                break
            if left[block[number]] > 1 or len(self._space.blocks[block[number]]) == 1:
                taken.append(number)
                left[block[number]] -= 1
        return torch.tensor(taken, dtype=torch.int64)

    def _cut(self, optimizer: Optimizer | None) -> None:
        self._space.cut(self._zero, optimizer)
        self._done = True

    def _observe(self, rates: dict[str, float]) -> Observed:
        """Returns what the step showed of all groups, on the CPU; without a step, of the weights alone."""
        now = self._now()
        before = self._before or now
        direction = {
            name: (old - now[name]) / rates[name] if rates.get(name) else torch.zeros_like(old)
            for name, old in before.items()
        }

        def all_of(one: dict[str, Tensor], other: dict[str, Tensor]) -> Tensor:
            return torch.cat([block.products(one, other).cpu() for block in self._space.blocks])

        return Observed(
            norm=all_of(before, before).sqrt(),
            size=self._sizes,
            dot=all_of(before, direction),
            direction=all_of(direction, direction).sqrt(),
            moved=all_of(now, before),
            after=all_of(now, now).sqrt(),
        )

    def _now(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self._parameters.items()}

    def _rates(self, optimizer: Optimizer | None) -> dict[str, float]:
        """Returns the learning rate of each parameter; 1 where no optimiser says so."""
        known = {
            id(parameter): float(group["lr"])
            for group in ([] if optimizer is None else optimizer.param_groups)
            for parameter in group["params"]
        }
        return {name: known.get(id(parameter), 1.0) for name, parameter in self._parameters.items()}

    def _split(self, values: Tensor) -> tuple[Tensor, ...]:
        return torch.split(values, [len(block) for block in self._space.blocks])
