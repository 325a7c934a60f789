"""Remembers how networks of one structure were traced, which takes most of the time of compiling one.

A search tries many networks that differ in their weights alone: the same modules, and tensors of the same shapes. All
of them follow from one traced program, each with its own tensors in it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.export import ExportedProgram

from gossamer.deploy.engine.lower import decomposed
from gossamer.deploy.export.inputs import Inputs
from gossamer.deploy.export.trace import trace

_REMEMBERED = 4  # structures


class Traces:
    """Traced programs by structure, the newest few.

    What a module does may depend on attributes that neither its tensors nor its text shows; so whoever takes a program
    from here checks what it computes, and calls `forget` where that is wrong.
    """

    def __init__(self) -> None:
        self._known: dict[Any, ExportedProgram] = {}

    def program(self, network: nn.Module, inputs: Inputs) -> ExportedProgram:
        """Returns the program of a network, of itself or of one of the same structure; raises as `trace` does."""
        key = _structure(network, inputs)
        if key not in self._known:
            made = decomposed(trace(network, inputs, standard=False))
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key] = made
        return self._known[key]

    def __len__(self) -> int:
        """How many programs it knows."""
        return len(self._known)

    def forget(self) -> None:
        """Drops all programs."""
        self._known.clear()


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """Returns parameters and buffers by the names that they have in a traced program."""
    named = (*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False))
    return {f"model.{name}": tensor.detach() for name, tensor in named}


def _structure(network: nn.Module, inputs: Inputs) -> Any:
    modules = tuple((name, type(one), one.extra_repr()) for name, one in network.named_modules())
    tensors = tuple((name, one.shape, one.dtype) for name, one in tensors_of(network).items())
    given = tuple((one.name, one.value.shape, one.value.dtype, tuple(one.axes)) for one in inputs.of)
    return modules, tensors, given, inputs.weighted
