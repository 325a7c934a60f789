"""Writes a network for use elsewhere, and proves that the file computes what the network does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.deploy.export import native, onnx, program
from gossamer.deploy.export.inputs import Inputs, inputs_of, other_sizes, positional
from gossamer.deploy.export.trace import Program, predicting, with_our_layers
from gossamer.errors import ModelError, SettingError, unknown
from gossamer.files import write_atomic
from gossamer.nn import CodedConv2d, CodedLinear, FewBitsWeights

FORMATS = ("onnx", "pt2", "gsm")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file with a network in it.

    Attributes:
        path: The file.
        format: onnx, pt2 or gsm.
        inputs: Name and shape of each input, a name in place of a size that may change.
        max_error: The largest difference between the file's outputs and the network's, as a fraction of the largest
            output or of 1, whichever is larger, over all sizes tried; None if it was not checked.
        bytes: Size of the file.
        notes: What a user of the file should know, one sentence each.
    """

    path: Path
    format: str
    inputs: dict[str, tuple[int | str, ...]]
    max_error: float | None
    bytes: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object with every field."""
        return asdict(self) | {"path": str(self.path)}


def export(
    model: nn.Module,
    example: Sequence[Any] | Mapping[str, Any],
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002  the word for it
    opset: int | None = None,
    dynamic: bool = True,
    check: bool = True,
    tolerance: float = 1e-4,
) -> Exported:
    """Writes a network to one file, whole or not at all, and checks that the file computes the same.

    A graph is taken as `edge_index`, (2, E) int64 with sources in row 0, and `edge_weight`, (E,), if the example's
    graph has weights. Numbers of nodes, edges and images may differ from call to call, in any combination.

    Args:
        model: The network; it is left as it is, and exported for prediction.
        example: Its arguments, in order or by name: tensors, a CSR or a Graph. By name there may be settings too, such
            as `use_cache=False`, which stay as they are.
        path: The file.
        format: onnx, pt2, or gsm, which this library's own engine runs; None goes by the file's suffix.
        opset: Of ONNX, 18 to 23; None takes 20.
        dynamic: Whether sizes may change; False fixes those of the example.
        check: Whether to run the file on the example and on inputs of other sizes, and compare.
        tolerance: Largest difference to accept; see `Exported.max_error`. A network whose layers round their inputs
            may differ by as much as it does from itself, when its inputs change by a millionth.

    Raises:
        SettingError: The format or the opset is unknown.
        ModelError: The network cannot be exported (the message names the place), or the file computes something else.
        MissingExtraError: A library of the `export` extra is not installed.
        FileError: The file could not be written.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower() if format is None else format
    if kind not in FORMATS:
        raise SettingError(f"{path}: {unknown('format', kind, FORMATS)}; end the name in .onnx, .pt2 or .gsm")
    if kind != "onnx" and opset is not None:
        raise SettingError(f"opset is {opset}, but {path} is no ONNX file; leave it out")
    model, arguments = positional(model, example)
    inputs = inputs_of(model, arguments)
    inputs = inputs if dynamic else inputs.fixed()
    with torch.no_grad():
        plain = predicting(model)
        network = with_our_layers(plain, inputs)
        runner: Callable[[], Callable[[Sequence[Tensor]], list[Tensor]]]
        match kind:
            case "onnx":
                data = onnx.to_bytes(network, inputs, opset=opset)
                runner = functools.partial(onnx.runner, data)
            case "gsm":
                data = native.to_bytes(plain, arguments, dynamic=dynamic)
                runner = functools.partial(native.runner, data)
            case _:
                data = program.to_bytes(network, inputs)
                runner = functools.partial(program.runner, data)
        error = _checked(path, runner(), Program(plain, inputs), inputs, tolerance) if check else None
    write_atomic(path, lambda stream: stream.write(data))
    shapes = {
        one.name: tuple(axis or size for axis, size in zip(one.axes, one.value.shape, strict=True)) for one in inputs.of
    }
    notes = tuple(_notes(network, kind, data))
    return Exported(path=path, format=kind, inputs=shapes, max_error=error, bytes=len(data), notes=notes)


def difference(got: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Returns the largest difference of outputs, as a fraction of the largest or of 1; infinite if shapes differ."""
    if len(got) != len(wanted):
        return float("inf")
    worst = 0.0
    for mine, its in zip(got, wanted, strict=True):
        if mine.shape != its.shape or mine.dtype != its.dtype:
            return float("inf")
        if its.numel() == 0:
            continue
        same = (mine == its) | (mine.isnan() & its.isnan())
        apart = torch.where(same, 0.0, (mine.detach().double() - its.detach().double()).abs()).nan_to_num(float("inf"))
        largest = its.detach().double().abs().nan_to_num(0.0, 0.0, 0.0).max()
        worst = max(worst, float(apart.max() / largest.clamp(min=1.0)))
    return worst


def _checked(
    path: Path, run: Callable[[Sequence[Tensor]], list[Tensor]], network: nn.Module, inputs: Inputs, tolerance: float
) -> float:
    """Returns the largest difference over the example and other sizes; raises ModelError if it is too large.

    A layer that rounds its input turns the last bit of a float into a step of its codes, now and then, and no two
    programs add floats alike. So a network of such layers may differ by as much as it does from itself, when its
    inputs change by a millionth.
    """
    worst = 0.0
    calls = [inputs.values, *(inputs.resized(sizes, seed) for seed, sizes in enumerate(other_sizes(inputs.sizes)))]
    for tensors in calls:
        wanted = network(*tensors)
        error = difference(run(tensors), wanted)
        allowed = max(tolerance, _sway(network, tensors, wanted)) if error > tolerance else tolerance
        if not error <= allowed:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise ModelError(
                f"{path}: the exported program differs from the network by {error:.2g} on inputs of shape {shapes}; "
                f"expected at most {allowed:.2g}, so nothing was written: try the other format, or set a tolerance"
            )
        worst = max(worst, error)
    return worst


def _sway(network: nn.Module, tensors: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Returns twice the largest difference that changing the inputs by a millionth made in four trials; or 0."""
    if not _rounding(network):
        return 0.0
    generator = torch.Generator().manual_seed(0)

    def shaken(x: Tensor) -> Tensor:
        return x * (1 + 1e-6 * torch.randn(x.shape, generator=generator)) if x.is_floating_point() else x

    return 2 * max(difference(network(*map(shaken, tensors)), wanted) for _ in range(4))


def _rounding(network: nn.Module) -> bool:
    """Says whether a layer of the network rounds its input."""
    coded = (layer for layer in network.modules() if isinstance(layer, CodedLinear | CodedConv2d))
    return any(not isinstance(layer.weights, FewBitsWeights) for layer in coded)


def _notes(network: nn.Module, kind: str, data: bytes) -> list[str]:
    notes = []
    if kind == "pt2" and b"ops.gossamer" in data:
        notes.append("load it with torch.export.load after `import gossamer`, which brings its operators")
    if kind == "onnx" and any(isinstance(layer, CodedLinear | CodedConv2d) for layer in network.modules()):
        notes.append("coded weights take one byte each in the file")
    if _rounding(network):
        notes.append("layers round their inputs: where two programs add in another order, a code may move by one step")
    return notes
