"""What a block of a network is worth: higher = keep.

| worth | of a block | source |
|---|---|---|
| `LossIncrease` | mean loss of batches without it, less that with it | measured |
| `Dissimilarity` | 1 - cosine of what goes in and what comes out, mean over examples | Men et al., "ShortGPT", 2024 |
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gossamer.counting import evaluating
from gossamer.settings import Settings
from gossamer.structure.blocks import Candidate
from gossamer.structure.edits import edit_, submodule
from gossamer.structure.observer import Losses
from gossamer.structure.residual import is_addition
from gossamer.structure.trace import plain_paths, tensors_in

Note = Callable[[Tensor, Tensor], None]


@dataclass(frozen=True, kw_only=True)
class Worth(Settings):
    """A family: what a block is worth."""

    def of(self, model: nn.Module, found: Sequence[Candidate], losses: Losses) -> list[float]:
        """Returns one number a candidate.

        Args:
            model: The network; left as it is.
            found: What could be left out.
            losses: Yields the loss of each batch for the model that it is given.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define of()")

    def passes(self, count: int) -> int:
        """Returns how often the batches are run for so many candidates."""
        raise TypeError(f"{type(self).__name__} is abstract: define passes()")


@dataclass(frozen=True, kw_only=True)
class LossIncrease(Worth):
    """How much larger the mean loss is without the block."""

    name = "loss"

    def of(self, model: nn.Module, found: Sequence[Candidate], losses: Losses) -> list[float]:
        """Runs the batches without each candidate, and once with all."""
        whole = _mean_loss(model, losses)
        return [_mean_loss(edit_(copy.deepcopy(model), one.edits), losses) - whole for one in found]

    def passes(self, count: int) -> int:
        """Returns count + 1."""
        return count + 1


@dataclass(frozen=True, kw_only=True)
class Dissimilarity(Worth):
    """1 - cosine of what goes into the block and what comes out of it, mean over the examples of the batches."""

    name = "dissimilarity"

    def of(self, model: nn.Module, found: Sequence[Candidate], losses: Losses) -> list[float]:
        """Runs the batches once."""
        seen: list[list[float]] = [[] for _ in found]

        def note(place: int) -> Note:
            def one(before: Tensor, after: Tensor) -> None:
                given, made = (value.detach().reshape(len(value), -1).double() for value in (before, after))
                seen[place].append(float(nn.functional.cosine_similarity(given, made).mean()))

            return one

        notes = {one: note(place) for place, one in enumerate(found)}
        with _watching(model, notes), evaluating(model), torch.no_grad(), plain_paths(model):
            for _ in losses(model):
                pass
        return [1.0 - sum(values) / len(values) if values else float("inf") for values in seen]

    def passes(self, count: int) -> int:
        """Returns 1."""
        return 1


@torch.no_grad()
def _mean_loss(model: nn.Module, losses: Losses) -> float:
    with evaluating(model):
        found = [float(loss) for loss in losses(model)]
    return sum(found) / max(len(found), 1)


@contextmanager
def _watching(model: nn.Module, notes: dict[Candidate, Note]) -> Iterator[None]:
    """Notes, while the block runs, the input and output of every candidate: of its addition, or of its module."""
    additions = {one.branch.place: (one.branch.summand, note) for one, note in notes.items() if one.branch is not None}
    modes: list[_Additions] = []

    def enter(*_: Any) -> None:
        modes.append(_Additions(additions))
        modes[-1].__enter__()  # type: ignore[no-untyped-call]

    def leave(*_: Any) -> None:
        modes.pop().__exit__(None, None, None)  # type: ignore[no-untyped-call]

    handles = [model.register_forward_pre_hook(enter), model.register_forward_hook(leave, always_call=True)]
    for one, note in notes.items():
        if one.branch is None:

            def compare(_: nn.Module, args: Any, out: Any, note: Note = note) -> None:
                note(next(tensors_in(args)), out)

            handles.append(submodule(model, one.name).register_forward_hook(compare))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Additions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Shows the shortcut and the sum of some additions of one run."""

    def __init__(self, wanted: dict[int, tuple[int, Note]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._wanted = wanted
        self._count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        if not is_addition(func, args):
            return func(*args, **(kwargs or {}))
        summand, note = self._wanted.get(self._count, (0, None))
        self._count += 1
        if note is None:
            return func(*args, **(kwargs or {}))
        shortcut = args[1 - summand].clone()
        out = func(*args, **(kwargs or {}))
        note(shortcut, out)
        return out
