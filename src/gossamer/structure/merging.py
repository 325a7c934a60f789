"""Consecutive linear operators, and which of them merge into one that is smaller than both.

Two layers are consecutive if, in a run on the example, the second reads what the first computed and nothing else
does. Dropout between them is no obstacle: in prediction it does nothing.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from gossamer.counting import evaluating
from gossamer.structure.edits import MergeLayers, merged, not_mergeable
from gossamer.structure.plan import arguments
from gossamer.structure.trace import plain_paths

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def mergeable(model: nn.Module, example: Any) -> tuple[tuple[MergeLayers, ...], dict[str, str]]:
    """Returns the merges that make a network smaller, in the order in which to make them, and what is refused.

    Args:
        model: Any module that runs on the example; it is left as it is.
        example: As for `gossamer.plan`.

    Returns:
        The merges, and the second layers of pairs that are not to be merged, with the reason.

    >>> net = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 2))
    >>> mergeable(net, torch.zeros(1, 8))[0]
    (MergeLayers(first='0', second='1'),)
    """
    args, kwargs = arguments(example)
    small = copy.deepcopy(model)
    merges: list[MergeLayers] = []
    while True:
        found = consecutive(small, args, kwargs)
        pair = next(((first, second) for first, second, reason in found if not reason), None)
        if pair is None:
            return tuple(merges), {second: reason for _, second, reason in found}
        merges.append(MergeLayers(first=pair[0], second=pair[1]))
        small = merges[-1].apply_(small)


def consecutive(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns pairs of consecutive linear operators, and why they do not merge; "" where they do."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LINEAR)}
    taken: dict[str, list[Any]] = {name: [] for name in layers}
    made: dict[str, list[Any]] = {name: [] for name in layers}
    handles = []
    for name, layer in layers.items():

        def before(_: nn.Module, given: Any, name: str = name) -> None:
            taken[name].append(given[0] if given else None)

        def after(_: nn.Module, __: Any, out: Any, name: str = name) -> None:
            made[name].append(out)

        handles += [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    readers = _Readers()
    try:
        with evaluating(model), torch.no_grad(), plain_paths(model), readers:
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    found = []
    for second, inputs in taken.items():
        for first, results in made.items():
            if any(one is other for one in inputs for other in results if one is not None):
                reason = ""
                if len(inputs) != 1 or len(results) != 1:
                    reason = "one of them runs more than once"
                elif readers.count[id(inputs[0])] != 1:
                    reason = f"what {first} computes is read elsewhere too"
                elif any(uses[id(p)] > 1 for name in (first, second) for p in layers[name].parameters()):
                    reason = "one of them shares its weights"
                elif any(parametrize.is_parametrized(layers[name]) for name in (first, second)):
                    reason = "one of them has a parametrised weight"
                else:
                    reason = not_mergeable(layers[first], layers[second]) or _larger(layers[first], layers[second])
                found.append((first, second, reason))
    return found


def _larger(first: nn.Module, second: nn.Module) -> str:
    """Says that the merged layer would have more numbers than both; "" where it has not."""
    after = sum(parameter.numel() for parameter in merged(first, second).parameters())
    before = sum(parameter.numel() for layer in (first, second) for parameter in layer.parameters())
    return f"the merged layer would have {after} parameters, the two have {before}" if after > before else ""


class _Readers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts how many operators read each tensor; holds on to all, so that ids stay unique."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: Counter[int] = Counter()
        self._held: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        read = {id(item): item for item in tree_iter((args, kwargs or {})) if isinstance(item, Tensor)}
        self.count.update(read.keys())
        self._held += read.values()
        return func(*args, **(kwargs or {}))
