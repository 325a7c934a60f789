"""Residual branches of any network, found in one run: additions one of whose summands was computed from the other.

    out = s + f(s)      s is the shortcut, f the branch

The run is watched at the dispatcher, so it does not matter how the network writes the addition. Under `Without`, a
network runs with some branches at zero: what a network that has not got them must compute.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from gossamer.counting import evaluating
from gossamer.structure.rules.table import plain_name
from gossamer.structure.trace import plain_paths, tensors_in


@dataclass(frozen=True)
class Branch:
    """One residual addition.

    Attributes:
        place: Which of the run's additions of two tensors of one shape it is, from 0.
        summand: Which of the two summands the branch is, 0 or 1.
        name: The module in which the addition is, "" for the network itself.
        inside: The largest modules all of whose work is for the branch alone, in the order in which they end.
        around: Modules that contain the addition and no other residual one, and were given the shortcut as their first
            tensor, smallest first.
    """

    place: int
    summand: int
    name: str
    inside: tuple[str, ...]
    around: tuple[str, ...]


@dataclass
class _Run:
    """A module's one call: operators from `first` to `last`, and what it was given and returned."""

    name: str
    calls: int = 0
    operators: list[int] = field(default_factory=list)
    given: int = -1  # the operator, or input, that made its first tensor
    additions: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Addition:
    """A residual addition as it is seen: numbers of operators, and the innermost module."""

    place: int
    shortcut: int
    branch: int
    summand: int
    name: str


def branches(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Branch, ...]:
    """Returns the residual branches of a network in the order of their additions; it runs once, in eval mode."""
    seen = _Ancestors(model)
    with evaluating(model), torch.no_grad(), plain_paths(model), seen.watched(), seen:
        model(*args, **kwargs)
    return tuple(seen.branch(addition) for addition in seen.additions)


class _Ancestors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Knows, of every tensor, the set of operators that it was computed by, as the bits of a number."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.additions: list[_Addition] = []
        self.runs = {name: _Run(name) for name, _ in model.named_modules()}
        self._made: dict[int, int] = {}  # id of a tensor to the operator that made it
        self._sets: list[int] = []  # operators to what they come from, themselves included
        self._held: list[Tensor] = []  # so that ids stay unique
        self._stack: list[str] = []
        self._additions = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Follows which modules run while the block does."""
        handles = []
        for name, module in self.model.named_modules():

            def enter(_module: nn.Module, args: Any, kwargs: Any, name: str = name) -> None:
                self._stack.append(name)
                run = self.runs[name]
                run.calls += 1
                first = next(tensors_in((args, kwargs)), None)
                run.given = -1 if first is None else self._maker(first)

            def leave(_module: nn.Module, _args: Any, _out: Any) -> None:
                self._stack.pop()

            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(module.register_forward_hook(leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        inputs = [item for item in tree_iter((args, kwargs or {})) if isinstance(item, Tensor)]
        makers = [self._maker(tensor) for tensor in inputs]
        out = func(*args, **(kwargs or {}))
        operator = self._new(makers)
        for result in tree_iter(out):
            if isinstance(result, Tensor):
                self._hold(result, operator)
        for name in self._stack:
            self.runs[name].operators.append(operator)
        if is_addition(func, args):
            self._add(makers[0], makers[1])
        return out

    def _add(self, one: int, other: int) -> None:
        place = self._additions
        self._additions += 1
        for shortcut, branch, summand in ((one, other, 1), (other, one, 0)):
            if shortcut != branch and self._sets[branch] >> shortcut & 1:
                name = self._stack[-1] if self._stack else ""
                self.additions.append(_Addition(place, shortcut, branch, summand, name))
                for module in self._stack:
                    self.runs[module].additions.append(place)

    def branch(self, addition: _Addition) -> Branch:
        """Returns what is known of a residual addition, once the run is over."""
        own = self._sets[addition.branch] & ~self._sets[addition.shortcut]
        inside: list[_Run] = []
        for run in self.runs.values():
            parts = run.operators
            whole = run.calls == 1 and parts and all(own >> part & 1 for part in parts)
            if whole and not any(run.name.startswith(f"{other.name}.") for other in inside) and run.name:
                inside.append(run)
        around = [
            run
            for run in self.runs.values()
            if run.name and run.calls == 1 and run.additions == [addition.place] and run.given == addition.shortcut
        ]
        around.sort(key=lambda run: len(run.operators))
        return Branch(
            place=addition.place,
            summand=addition.summand,
            name=addition.name,
            inside=tuple(run.name for run in sorted(inside, key=lambda run: run.operators[-1])),
            around=tuple(run.name for run in around),
        )

    def _maker(self, tensor: Tensor) -> int:
        if id(tensor) not in self._made:
            self._hold(tensor, self._new([]))
        return self._made[id(tensor)]

    def _new(self, makers: Sequence[int]) -> int:
        operator = len(self._sets)
        found = 1 << operator
        for maker in makers:
            found |= self._sets[maker]
        self._sets.append(found)
        return operator

    def _hold(self, tensor: Tensor, operator: int) -> None:
        self._made[id(tensor)] = operator
        self._held.append(tensor)


class Without(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes some branches as zero, in runs that add in the same order as the one in which they were found."""

    def __init__(self, found: Collection[Branch]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._summands = {branch.place: branch.summand for branch in found}
        self._additions = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        if is_addition(func, args):
            summand = self._summands.get(self._additions)
            self._additions += 1
            if summand is not None and func._schema.is_mutable and summand == 0:
                args[0].zero_()
            elif summand is not None:
                args = (*args[:summand], torch.zeros_like(args[summand]), *args[summand + 1 :])
        return func(*args, **(kwargs or {}))


def is_addition(func: Any, args: Sequence[Any]) -> bool:
    """Says whether an operator adds two tensors of the same shape."""
    return (
        plain_name(func) == "add"
        and len(args) > 1
        and all(isinstance(item, Tensor) and item.is_floating_point() for item in args[:2])
        and args[0].shape == args[1].shape
        and args[0].dim() > 0
    )
