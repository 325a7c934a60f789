"""Removes units from a network: parameters, buffers and optimiser state are cut, sizes kept in attributes follow.

A `Removal` is what was decided, by names and numbers only, so it goes to JSON and back and can be replayed on an
untouched instance of the same class.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.errors import ModelError
from gossamer.settings import Settings, bounded
from gossamer.structure import sizes


@dataclass(frozen=True, kw_only=True)
class Cut(Settings):
    """What stays of one dimension of a parameter or buffer."""

    tensor: str  # its name; of a shared one, the first
    dim: int = bounded(ge=0)
    size: int = bounded(ge=1)  # positions before
    keep: str  # positions that stay, as in "0-3,7"

    def positions(self) -> Tensor:
        """Returns the positions that stay, ascending, int64."""
        return parse_ranges(self.keep)


@dataclass(frozen=True, kw_only=True)
class NewSize(Settings):
    """An attribute of a module that repeats a size; `attribute` is dotted where it lies in an object or a sequence."""

    module: str
    attribute: str
    value: int = bounded(ge=0)


@dataclass(frozen=True, kw_only=True)
class Removal(Settings):
    """Everything that changes when units are removed."""

    cuts: tuple[Cut, ...]
    sizes: tuple[NewSize, ...] = ()

    def apply_(self, model: nn.Module, optimizer: Optimizer | None = None) -> nn.Module:
        """Removes in place and returns the model.

        Parameters stay the same objects, so whatever shares or holds them goes on to. What an optimiser remembers of a
        parameter in its shape is cut like it; state of other shapes is dropped, and begins anew.

        Raises:
            ModelError: The model has no such tensor, or one of another size.
        """
        cuts: dict[str, list[Cut]] = {}
        for cut in self.cuts:
            cuts.setdefault(cut.tensor, []).append(cut)
        tensors: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
        tensors |= dict(model.named_buffers(remove_duplicate=False))
        for name in cuts:
            if name not in tensors:
                raise ModelError(f"{type(model).__name__} has no parameter or buffer {name!r} to remove units from")
        new = {name: _cut(name, tensors[name].detach(), of_tensor) for name, of_tensor in cuts.items()}
        for name, value in new.items():
            if optimizer is not None:
                _cut_state(optimizer, name, tensors[name], cuts[name])
            gradient = tensors[name].grad
            tensors[name].grad = None
            _put(tensors[name], value)
            if gradient is not None:
                tensors[name].grad = _cut(name, gradient, cuts[name])
        modules = dict(model.named_modules(remove_duplicate=False))
        for size in self.sizes:
            try:
                sizes.assign(modules[size.module], _path(size.attribute), size.value)
            except (LookupError, AttributeError, TypeError) as error:
                raise ModelError(
                    f"{type(model).__name__} has no attribute {size.attribute!r} in {size.module or 'itself'}: {error}"
                ) from error
        return model

    def then(self, later: Removal) -> Removal:
        """Returns the one removal that does what this one and then a later one do.

        >>> first = Removal(cuts=(Cut(tensor="w", dim=0, size=6, keep="1-4"),))
        >>> first.then(Removal(cuts=(Cut(tensor="w", dim=0, size=4, keep="0,3"),))).cuts[0].keep
        '1,4'
        """
        cuts = {(cut.tensor, cut.dim): cut for cut in self.cuts}
        for cut in later.cuts:
            before = cuts.get((cut.tensor, cut.dim))
            stay = cut.positions() if before is None else before.positions()[cut.positions()]
            cuts[cut.tensor, cut.dim] = cut.replace(size=(before or cut).size, keep=ranges(stay))
        new = {(size.module, size.attribute): size for size in (*self.sizes, *later.sizes)}
        return Removal(cuts=tuple(cuts.values()), sizes=tuple(new[key] for key in sorted(new)))


def _path(attribute: str) -> tuple[str | int, ...]:
    return tuple(int(key) if key.isdigit() else key for key in attribute.split("."))


def _cut(name: str, tensor: Tensor, cuts: Sequence[Cut]) -> Tensor:
    for cut in cuts:
        if cut.dim >= tensor.dim() or tensor.shape[cut.dim] != cut.size:
            raise ModelError(
                f"{name} has the shape {tuple(tensor.shape)}; expected {cut.size} positions in dimension {cut.dim}: "
                "the network is not the one that the removal was planned for"
            )
        tensor = tensor.index_select(cut.dim, cut.positions().to(tensor.device))
    return tensor


def _put(tensor: Tensor, value: Tensor) -> None:
    """Gives a tensor another value, of another shape.

    A loss that is still around keeps alive what gathers the gradient of the old shape. PyTorch forgets that when the
    dtype changes, so it is changed and changed back.
    """
    if tensor.requires_grad:
        tensor.data = tensor.new_empty(0, dtype=torch.float32 if tensor.dtype is torch.float64 else torch.float64)
    tensor.data = value


def _cut_state(optimizer: Optimizer, name: str, parameter: Tensor, cuts: Sequence[Cut]) -> None:
    """Cuts what an optimiser remembers of a parameter, which still has its old shape."""
    state = optimizer.state.get(parameter, {})
    for key, value in list(state.items()):
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            state[key] = _cut(name, value, cuts)
        elif isinstance(value, Tensor) and value.numel() > 1:
            del optimizer.state[parameter]
            break


def ranges(positions: Tensor) -> str:
    """Writes ascending positions as ranges.

    >>> ranges(torch.tensor([0, 1, 2, 5]))
    '0-2,5'
    """
    if not len(positions):
        return ""
    gaps = (positions.diff() != 1).nonzero().flatten()
    first = positions[torch.cat([gaps.new_zeros(1), gaps + 1])].tolist()
    last = positions[torch.cat([gaps, gaps.new_full((1,), len(positions) - 1)])].tolist()
    return ",".join(f"{a}-{b}" if b > a else f"{a}" for a, b in zip(first, last, strict=True))


@functools.lru_cache(maxsize=4096)
def parse_ranges(text: str) -> Tensor:
    """Reads what `ranges` wrote; the result is shared, and not to be written to.

    Raises:
        ModelError: The text is not of that form.
    """
    try:
        pairs = [(int(part.split("-")[0]), int(part.split("-")[-1])) for part in text.split(",") if part]
    except ValueError as error:
        raise ModelError(f"{text!r} are no positions ({error}); expected ranges such as 0-3,7") from error
    return torch.tensor([position for first, last in pairs for position in range(first, last + 1)], dtype=torch.int64)


def removed_positions(cuts: Sequence[Cut]) -> Mapping[str, list[tuple[int, Tensor]]]:
    """Returns, by tensor, the positions that do not stay in each dimension that loses any."""
    found: dict[str, list[tuple[int, Tensor]]] = {}
    for cut in cuts:
        gone = torch.ones(cut.size, dtype=torch.bool)
        gone[cut.positions()] = False
        found.setdefault(cut.tensor, []).append((cut.dim, gone.nonzero().flatten()))
    return found
