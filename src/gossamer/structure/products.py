"""Which parameters of a network are multiplied with what it computes, and along which dimension they are summed over.

A trace knows which dimensions hang together, but not which side of a weight is its input: `x @ w`, `F.linear` and
a transposed convolution differ. One run at the dispatcher tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gossamer.counting import evaluating
from gossamer.structure.rules.table import plain_name
from gossamer.structure.trace import plain_paths

_FACTORS = {  # operator: the places of its factors, each with the dimension of it that is summed over
    "mm": ((0, 1), (1, 0)),
    "addmm": ((1, 1), (2, 0)),
    "bmm": ((0, 2), (1, 1)),
    "baddbmm": ((1, 2), (2, 1)),
    "mv": ((0, 1),),
    "linear": ((1, 1),),
}
_CONVOLUTIONS = {"convolution", "_convolution"}


@dataclass(frozen=True)
class Product:
    """How a parameter is multiplied.

    Attributes:
        parameter: Its first name.
        inputs: The dimension that is summed over.
        outputs: The dimension of the results.
        groups: In how many groups, each of which has its own inputs.
    """

    parameter: str
    inputs: int
    outputs: int
    groups: int = 1


def products(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Product, ...]:
    """Runs a network once, in eval mode, and returns the products of its parameters in the order of their first use.

    Parameters of two dimensions are looked for in every product of matrices, those of more in convolutions; a slice of
    a parameter counts as the parameter.
    """
    seen = _Products(model)
    with evaluating(model), torch.no_grad(), plain_paths(model), seen:
        model(*args, **kwargs)
    return tuple(seen.found.values())


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: dict[str, Product] = {}
        self._parameters = {
            parameter.untyped_storage().data_ptr(): (name, parameter) for name, parameter in model.named_parameters()
        }

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        name = plain_name(func)
        for place, summed in _FACTORS.get(name, ()):
            self._note_matrix(args[place], summed)
        if name in _CONVOLUTIONS:
            self._note_convolution(args[1], transposed=bool(args[6]), groups=int(args[8]))
        return func(*args, **(kwargs or {}))

    def _note_matrix(self, view: Tensor, summed: int) -> None:
        name, parameter = self._parameters.get(view.untyped_storage().data_ptr(), ("", None))
        if parameter is None or parameter.dim() != 2 or name in self.found:
            return
        found = [dim for dim in range(2) if parameter.stride(dim) == view.stride(summed)]
        inputs = next((dim for dim in found if parameter.shape[dim] == view.shape[summed]), *found[:1])
        self.found[name] = Product(name, inputs, 1 - inputs)

    def _note_convolution(self, weight: Tensor, *, transposed: bool, groups: int) -> None:
        name, parameter = self._parameters.get(weight.untyped_storage().data_ptr(), ("", None))
        if parameter is not None and parameter.shape == weight.shape and name not in self.found:
            inputs = 0 if transposed else 1
            self.found[name] = Product(name, inputs, 1 - inputs, groups)
