"""Writes a traced network as a `.pt2` file of `torch.export`, with this library's operators in it, and runs such files.

Whoever loads one imports `gossamer` first, so that the operators are there; the class of the network is not needed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from gossamer.deploy.export.inputs import Inputs
from gossamer.deploy.export.trace import trace
from gossamer.errors import ModelError


def to_bytes(model: nn.Module, inputs: Inputs) -> bytes:
    """Returns the network as a `.pt2` file, without example inputs.

    Args:
        model: As `trace.with_our_layers` returned it.
        inputs: What it takes.

    Raises:
        ModelError: The network cannot be traced.
    """
    program = trace(model, inputs, standard=False)
    program.example_inputs = None  # they would be in the file
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def runner(file: bytes | str | Path) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """Returns a function that runs a `.pt2` file, given by its content or its path, on the tensors of a call.

    Raises:
        ModelError: The file does not load.
    """
    try:
        program = torch.export.load(io.BytesIO(file) if isinstance(file, bytes) else file)
        module = program.module()
    except Exception as error:
        raise ModelError(f"torch.export does not load the file ({str(error).splitlines()[0][:300]})") from error

    def run(tensors: Sequence[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            return list(module(*tensors))

    return run
