"""Writes a traced network as ONNX, and runs such files with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.deploy.export.inputs import Inputs
from gossamer.deploy.export.quiet import quiet
from gossamer.deploy.export.trace import trace
from gossamer.errors import MissingExtraError, ModelError, SettingError

OPSET = 20
_OPSETS = range(18, 24)  # scatters with a maximum begin with 18
_LARGEST = 2**31 - 1  # bytes: what one protobuf message can hold


def to_bytes(model: nn.Module, inputs: Inputs, *, opset: int | None = None) -> bytes:
    """Returns the network as an ONNX file, with the names of `inputs` and of the axes whose size may change.

    Args:
        model: As `trace.with_our_layers` returned it.
        inputs: What it takes.
        opset: Version of ONNX's operators, 18 to 23; None takes 20.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        SettingError: The opset is out of range.
        ModelError: The network cannot be traced, has an operator that ONNX lacks, or weights of 2 GB or more.
    """
    opset = OPSET if opset is None else opset
    if opset not in _OPSETS:
        raise SettingError(f"opset is {opset}; expected {_OPSETS[0]} to {_OPSETS[-1]}")
    for library in ("onnx", "onnxscript"):
        _require(library)
    size = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    if size > _LARGEST:
        raise ModelError(f"the network has {size:,} bytes of weights; an ONNX file holds 2 GB: export to .pt2 instead")
    program = trace(model, inputs, standard=True)
    try:
        with quiet():
            written: Any = torch.onnx.export(program, opset_version=opset, verbose=False)
    except Exception as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0][:300]
        raise ModelError(f"{type(model).__name__}: cannot be written as ONNX ({reason}); export to .pt2") from error
    proto = written.model_proto
    _name(proto.graph, inputs)
    data: bytes = proto.SerializeToString()
    return data


def runner(file: bytes | str, threads: int | None = None) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """Returns a function that runs an ONNX file, given by its content or its path, on the tensors of a call.

    Args:
        file: Content or path.
        threads: Threads of a product; None takes PyTorch's number.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ModelError: The file does not load.
    """
    runtime: Any = _require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"ONNX Runtime does not load the file ({str(error).splitlines()[0][:300]})") from error
    taken = [one.name for one in session.get_inputs()]

    def run(tensors: Sequence[Tensor]) -> list[Tensor]:
        arrays = (tensor.numpy() for tensor in tensors)
        return [torch.from_numpy(array) for array in session.run(None, dict(zip(taken, arrays, strict=True)))]

    return run


def _name(graph: Any, inputs: Inputs) -> None:
    """Gives inputs, outputs and axes names that people can read."""
    renamed: dict[str, str] = {}
    for value, one in zip(graph.input, inputs.of, strict=True):
        renamed[value.name] = one.name
        for place, axis in enumerate(one.axes):
            if axis is not None:
                dimension = value.type.tensor_type.shape.dim[place]
                renamed[dimension.dim_param] = axis
    for i, value in enumerate(graph.output):
        renamed[value.name] = "output" if len(graph.output) == 1 else f"output_{i}"
    del graph.value_info[:]  # shapes inside, in terms of the old names
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
        value.name = renamed[value.name]
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = renamed.get(dimension.dim_param, dimension.dim_param)
    for node in graph.node:
        del node.metadata_props[:]  # where in the source each came from: more bytes than many a network
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]


def _require(library: str) -> Any:
    try:
        return __import__(library)
    except ImportError as error:
        raise MissingExtraError(f"{library} is needed for ONNX; install gossamer[export]") from error
