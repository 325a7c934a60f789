"""Traces a network as one program that holds for every number of nodes, edges or images."""

from __future__ import annotations

import contextlib
import copy
import traceback
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

import gossamer
from gossamer.counting import tensors_in
from gossamer.deploy import changes
from gossamer.deploy.compare import same_outputs
from gossamer.deploy.export.inputs import Inputs, distinct_sizes
from gossamer.deploy.export.layers import standard_layers
from gossamer.deploy.export.quiet import quiet
from gossamer.deploy.export.recurrent import traceable
from gossamer.deploy.export.standard import StandardOperators
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.pyg import adopt, kind_of
from gossamer.structure.edits import replace_module

_TORCH, _GOSSAMER = (str(Path(module.__file__ or "").parent) for module in (torch, gossamer))


class Program(nn.Module):
    """A network as a function of plain tensors."""

    def __init__(self, model: nn.Module, inputs: Inputs, standard: bool = False) -> None:
        """Wraps `model`; `standard` keeps this library's operators out of what is traced."""
        super().__init__()
        self.model, self.inputs, self.standard = model, inputs, standard

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Returns all tensors in the model's output, in order."""
        with StandardOperators() if self.standard else contextlib.nullcontext():
            return tuple(tensors_in(self.model(*self.inputs.arguments(tensors))))


def predicting(model: nn.Module) -> nn.Module:
    """Returns a copy of a network for prediction, on the CPU and without gradients."""
    return copy.deepcopy(changes.predicting(model)).cpu().eval().requires_grad_(False)


def with_our_layers(plain: nn.Module, inputs: Inputs) -> nn.Module:
    """Returns a copy of a network with its graph layers of PyG replaced by those of this library.

    It is the network itself if there are none, or if it computes something else with them on the example.

    Args:
        plain: What `predicting` returned.
        inputs: Of the example.
    """
    adopted = copy.deepcopy(plain)
    found = [layer for layer in adopted.modules() if kind_of(layer) is not None]
    for layer in found:
        with contextlib.suppress(ModelError):
            adopted = replace_module(adopted, layer, adopt(layer))
    try:
        outputs = [list(Program(network, inputs)(*inputs.values)) for network in (adopted, plain) if found]
    except (GossamerError, TypeError):  # a way to call a layer that only PyG's own knows
        return plain
    return adopted if found and same_outputs(*outputs) else plain


def trace(model: nn.Module, inputs: Inputs, *, standard: bool) -> ExportedProgram:
    """Traces a network that `predicting` or `with_our_layers` returned.

    Args:
        model: The network.
        inputs: What it takes, and which sizes may change.
        standard: Whether to use torch's own operators only.

    Raises:
        ModelError: What the network does depends on the numbers in a tensor, or it fixes a size that may change.
    """
    program = Program(
        traceable(standard_layers(model) if standard else model, standard=standard), inputs, standard
    ).eval()
    example = inputs.resized(distinct_sizes(inputs.sizes))
    shapes = tuple({i: Dim.DYNAMIC for i, axis in enumerate(one.axes) if axis is not None} for one in inputs.of)
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(program, example, dynamic_shapes=(shapes,), strict=False)
    except GossamerError:
        raise
    except Exception as error:
        raise ModelError(_reason(model, error)) from error


def _reason(model: nn.Module, error: Exception) -> str:
    """Returns in one line where tracing stopped, why, and what to do."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_file()]
    users = [frame for frame in frames if not frame.filename.startswith((_TORCH, _GOSSAMER))]
    ours = [frame for frame in frames if frame.filename.startswith(str(Path(_GOSSAMER, "models")))]
    where = type(model).__name__
    for frame in (users or ours)[-1:]:
        where += f", {frame.filename}:{frame.lineno} `{frame.line}`"
    text = str(error)
    kind = type(error).__name__
    if "DataDependent" in kind or "data-dependent" in text:
        return f"{where}: depends on the numbers in a tensor, which no export can follow; use torch.where or torch.cond"
    if "marked as dynamic" in text or "Constraints violated" in text:
        return f"{where}: the network works for one number of nodes, edges or images only; pass dynamic=False"
    return f"{where}: cannot be exported ({' '.join(text.split())[:300]}); use operators that torch.export can trace"
