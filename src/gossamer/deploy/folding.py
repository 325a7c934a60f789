"""Finds the batch normalisations that can be folded into the layer before them.

In prediction a batch normalisation is one scale and one shift a channel. Where its input is the output of a linear
layer or a convolution, and nothing else reads that output, the scale goes into the layer's weights and the shift into
its bias. What reads what is seen in one run of the network on the example; the caller compares the outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from gossamer.counting import tensors_in
from gossamer.deploy.changes import FoldNorm, foldable


class _Readers(TorchFunctionMode):
    """Counts how many functions that return tensors read each tensor; holds on to all, so that ids stay unique."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()
        self._held: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if any(True for _ in tensors_in(out)):
            read = list({id(tensor): tensor for tensor in tensors_in((args, kwargs or {}))}.values())
            self.count.update(map(id, read))
            self._held += read
        return out


def folds(
    model: nn.Module, layers: Mapping[str, nn.Module], example: tuple[Any, ...], shared: Collection[int]
) -> tuple[FoldNorm, ...]:
    """Returns the normalisations that can be folded, in the order of the model's modules.

    Args:
        model: In eval mode; run once under `torch.no_grad`.
        layers: Its linear layers and convolutions, by name.
        example: Its positional arguments.
        shared: Ids of parameters that more than one module has.
    """
    norms = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    }
    if not norms:
        return ()
    made: dict[str, list[Any]] = {name: [] for name in layers}
    taken: dict[str, list[Any]] = {name: [] for name in norms}
    handles = [layer.register_forward_hook(partial(_note_output, made[name])) for name, layer in layers.items()]
    handles += [norm.register_forward_pre_hook(partial(_note_input, taken[name])) for name, norm in norms.items()]
    readers = _Readers()
    try:
        with readers:
            model(*example)
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for name, norm in norms.items():
        if len(taken[name]) != 1 or readers.count[id(taken[name][0])] != 1 or not _free(norm, shared):
            continue
        for before, outputs in made.items():
            layer = layers[before]
            once = len(outputs) == 1 and outputs[0] is taken[name][0]
            if once and outputs[0].dim() != 3 and _free(layer, shared) and foldable(layer, norm):
                found.append(FoldNorm(layer=before, norm=name))
    return tuple(found)


def _note_output(noted: list[Any], _: nn.Module, __: Any, out: Any) -> None:
    noted.append(out)


def _note_input(noted: list[Any], _: nn.Module, args: tuple[Any, ...]) -> None:
    noted.append(args[0] if args else None)


def _free(module: nn.Module, shared: Collection[int]) -> bool:
    """Says whether a module's parameters are its own and nobody watches what it does."""
    watched = module._forward_hooks or module._forward_pre_hooks or parametrize.is_parametrized(module)
    return not watched and not any(id(parameter) in shared for parameter in module.parameters())
