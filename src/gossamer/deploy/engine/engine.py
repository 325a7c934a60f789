"""A compiled network: native plans, called one after the other, with PyTorch in between where there is no kernel."""

from __future__ import annotations

import math
import operator
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gossamer.deploy.engine.graph import Graph, Size, Step, Value
from gossamer.deploy.engine.segments import Segment, segments
from gossamer.deploy.engine.words import encode
from gossamer.deploy.export.inputs import EDGES, Inputs
from gossamer.errors import DataError, GossamerError, ModelError
from gossamer.graph import CSR
from gossamer.graph import Graph as Data
from gossamer.kernels import native

_REMEMBERED = 64  # shapes of inputs whose instance is found without asking


@dataclass(frozen=True)
class Explained:
    """One step of a compiled network, as it ran on the example.

    Attributes:
        operator: The operators it stands for.
        kernel: Native step and, of a product, the packing of its weight; "PyTorch" and why where there is no kernel.
        shape: Of its result.
        density: Fraction of a product's weights that are not zero; None elsewhere.
        microseconds: Median time.
        gflops: Floating-point operations a second, in billions, counting what a dense product would take times the
            density; None where they are not counted.
        share: Fraction of the time of all steps but those that only prepare a graph.
        prepares: Whether it depends on the graph alone, and so runs only when that has changed.
    """

    operator: str
    kernel: str
    shape: tuple[int, ...]
    density: float | None
    microseconds: float
    gflops: float | None
    share: float
    prepares: bool


class Engine:
    """A network compiled for prediction; `gossamer.deploy.compile` makes it.

    Called with the model's own arguments, it returns what the model returns. Several threads may call it at the same
    time. What depends on the edges of a graph alone is kept until a call brings other edges: the same `Graph`, or the
    same `edge_index` tensor, unchanged, is prepared once.

    Attributes:
        threads: Of each call.
        graph: Its steps, with kernels.
        inputs: What a call takes, with the example that it was compiled with.
        single: Whether a call returns one tensor, and no tuple.
    """

    def __init__(self, graph: Graph, inputs: Inputs, *, threads: int, single: bool) -> None:
        self.threads = threads
        self.graph, self.inputs, self.single = graph, inputs, single
        self._edges = [
            value
            for value, one in zip(graph.inputs, inputs.of, strict=True)
            if EDGES in one.axes or one.name in ("edge_index", "edge_weight")
        ]
        found, early = segments(graph, self._edges)
        self._runs = [_Native(one, threads) if one.native else _Torch(one) for one in found]
        self._early, self._late = self._runs[:early], self._runs[early:]
        self._prepared: tuple[Any, dict[Value, Tensor]] | None = None
        only = self._runs[0] if len(self._runs) == 1 else None
        whole = only is not None and (only.segment.inputs, only.segment.outputs) == (graph.inputs, graph.outputs)
        self._alone = only if isinstance(only, _Native) and whole else None  # takes and gives what the network does

    @property
    def torch_steps(self) -> tuple[str, ...]:
        """The operators that run in PyTorch because there is no kernel for them; () where all is native."""
        return tuple(step.origin for run in self._runs if isinstance(run, _Torch) for step in run.segment.steps)

    @property
    def kernels(self) -> dict[str, str]:
        """The kernel of each product whose weight is a parameter of the network, by the parameter's name."""
        steps = [step for run in self._runs for step in run.segment.steps]
        return {step.layer: step.kernel for step in steps if step.layer}

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Returns the network's output for its arguments, of any batch size or graph.

        Raises:
            DataError: An argument has another dtype or shape than the network takes, or an index is out of range.
        """
        outputs = None if self._alone is None or named else self._alone.at_once(arguments)
        if outputs is None:
            found = self._run(self.tensors(arguments, named))
            outputs = [found[value] for value in self.graph.outputs]
        return outputs[0] if self.single else tuple(outputs)

    def save(self, path: str | Path) -> Path:
        """Writes the network to a .gsm file, which `gossamer.deploy.load_engine` and the C library run.

        The file is written whole or not at all. It runs on any processor that gossamer runs on; the kernels stay those
        that were the fastest here.

        Raises:
            FileError: The file cannot be written, or its name does not end with .gsm.
            ModelError: Parts of the network run in PyTorch; they are named.
        """
        from gossamer.deploy.engine.file import save

        return save(self, path)

    def tensors(self, arguments: Sequence[Any], named: Mapping[str, Any] | None = None) -> list[Tensor]:
        """Returns the plain tensors of a call's arguments, in order."""
        tensors: list[Tensor] = []
        for argument in (*arguments, *self._in_order(named or {}, len(arguments))):
            if isinstance(argument, Data):
                tensors.append(argument.to_edge_index())
                if self.inputs.weighted:
                    if argument.weights is None:
                        raise DataError("the network was compiled for a graph with edge weights; this one has none")
                    tensors.append(argument.weights)
            elif isinstance(argument, CSR):
                tensors.append(argument.to_dense())
            elif isinstance(argument, Tensor):
                tensors.append(argument)
            else:
                raise DataError(f"found an argument of {type(argument).__name__}; expected tensors, CSR or Graph")
        names, expected = self.inputs.names, self.graph.inputs
        if len(tensors) != len(expected):
            raise DataError(f"found {len(tensors)} inputs, expected {len(expected)}: {', '.join(names)}")
        for place, (value, tensor) in enumerate(zip(expected, tensors, strict=True)):
            if tensor.dtype is not value.dtype or tensor.dim() != len(value.size):
                raise DataError(
                    f"{names[place]}: found {tensor.dtype} of shape {tuple(tensor.shape)}, expected {value.dtype} with "
                    f"{len(value.size)} axes"
                )
            if tensor.device.type != "cpu":
                raise DataError(
                    f"{names[place]}: is on {tensor.device}; the engine runs on the CPU, so call .cpu() first"
                )
        return tensors

    def _in_order(self, named: Mapping[str, Any], given: int) -> list[Any]:
        """Returns arguments by name in the order in which the network takes them, after `given` others."""
        if not named:
            return []
        expected = self.inputs.names[given:]
        if set(named) != set(expected):
            raise DataError(f"found arguments named {', '.join(named)}; expected {', '.join(expected) or 'no more'}")
        return [named[name] for name in expected]

    def explain(self, *arguments: Any, repeats: int = 20) -> list[Explained]:
        """Returns what runs for a call, step by step, with times.

        Args:
            *arguments: Of the call; by default those it was compiled with.
            repeats: Of the call, of which medians are taken.
        """
        tensors = self.tensors(arguments) if arguments else list(self.inputs.values)
        rounds = []
        for _ in range(repeats):
            found = dict(zip(self.graph.inputs, tensors, strict=True))
            rounds.append([time for run in self._runs for time in run(found, True)])
        medians = [sorted(column)[len(column) // 2] / 1000 for column in zip(*rounds, strict=True)]
        steps = [step for run in self._runs for step in run.segment.steps]
        first = sum(len(run.segment.steps) for run in self._early)
        total = sum(medians[first:]) or 1.0
        return [
            _explained(step, time, time / total, prepares=place < first, values=found)
            for place, (step, time) in enumerate(zip(steps, medians, strict=True))
        ]

    def _run(self, tensors: Sequence[Tensor]) -> dict[Value, Tensor]:
        values = dict(zip(self.graph.inputs, tensors, strict=True))
        if self._early:
            values.update(self._prepare(values))
        for run in self._late:
            run(values, False)
        return values

    def _prepare(self, values: dict[Value, Tensor]) -> dict[Value, Tensor]:
        """Returns what depends on the edges alone, and on how many nodes there are."""
        edges = [values[value] for value in self._edges]
        known = not any(one.is_inference() for one in edges)  # whose changes nobody counts
        key = ([one._version for one in edges], [one.shape for one in values.values()]) if known else None
        last = self._prepared  # read once: another thread may put its own there
        if last is not None and known and last[0][1:] == key and all(map(operator.is_, last[0][0], edges)):
            return last[1]
        prepared = dict(values)
        for run in self._early:
            run(prepared, False)
        prepared = {value: tensor for value, tensor in prepared.items() if value not in values}
        if key is not None:
            self._prepared = (edges, *key), prepared
        return prepared


class _Native:
    """A stretch of native steps."""

    def __init__(self, segment: Segment, threads: int) -> None:
        module = native.kernels()
        if module is None:
            raise ModelError(f"the engine needs the native kernels: {native.why_unavailable()}")
        self.segment = segment
        words, self._constants = encode(segment.inputs, segment.outputs, segment.steps)
        self._engine = module.Engine(
            words, [one.data_ptr() for one in self._constants], [one.nbytes for one in self._constants], threads
        )
        self._dtypes = [value.dtype for value in segment.inputs]
        self._known: dict[Any, tuple[Any, list[tuple[list[int], torch.dtype]]]] = {}

    def __call__(self, values: dict[Value, Tensor], timed: bool) -> list[int]:
        inputs = [values[value].contiguous() for value in self.segment.inputs]
        shapes = tuple([one.shape for one in inputs])
        known = self._known.get(shapes)
        if known is None:
            known = self._instance(shapes)
        instance, sizes = known
        outputs = [torch.empty(size, dtype=dtype) for size, dtype in sizes]
        given = [one.data_ptr() for one in inputs]
        spent: list[int] = []
        if timed:
            spent = self._engine.profile(instance, given, [one.data_ptr() for one in outputs])
        else:
            self._finish(instance, given, outputs)
        values.update(zip(self.segment.outputs, outputs, strict=True))
        return spent

    def at_once(self, arguments: Sequence[Any]) -> list[Tensor] | None:
        """Returns the outputs for arguments that can be used as they lie, of shapes that were seen; else None."""
        shapes = []
        for tensor, dtype in zip(arguments, self._dtypes, strict=False):
            if (
                type(tensor) is not Tensor
                or tensor.dtype is not dtype
                or not tensor.is_cpu
                or not tensor.is_contiguous()
            ):
                return None
            shapes.append(tensor.shape)
        known = self._known.get(tuple(shapes))
        if known is None or len(arguments) != len(self._dtypes):
            return None
        outputs = [torch.empty(size, dtype=dtype) for size, dtype in known[1]]
        self._finish(known[0], [one.data_ptr() for one in arguments], outputs)
        return outputs

    def _finish(self, instance: Any, given: list[int], outputs: list[Tensor]) -> None:
        failed = self._engine.run(instance, given, [one.data_ptr() for one in outputs])
        if failed >= 0:
            raise DataError(f"{self.segment.steps[failed].origin}: an index is out of range")

    def _instance(self, shapes: tuple[Any, ...]) -> tuple[Any, list[tuple[list[int], torch.dtype]]]:
        """Returns what runs inputs of these shapes, and the sizes and kinds of its outputs."""
        try:
            instance = self._engine.instance([list(shape) for shape in shapes])
        except ValueError as error:
            raise DataError(f"the engine does not take these inputs: {error}") from error
        sizes = [
            (self._engine.output_size(instance, place), value.dtype) for place, value in enumerate(self.segment.outputs)
        ]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[shapes] = instance, sizes
        return instance, sizes


class _Torch:
    """One PyTorch step."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment

    def __call__(self, values: dict[Value, Tensor], timed: bool) -> list[int]:
        step = self.segment.steps[0]
        assert step.call is not None
        bindings = _bindings(values)
        start = clock.perf_counter_ns()
        given = [_seen(value, values, bindings) for value in step.inputs if value is not None]
        try:
            with torch.no_grad():
                results = step.call(given, lambda size: _number(size, bindings))
        except GossamerError:
            raise
        except (RuntimeError, IndexError, ValueError) as error:
            raise DataError(f"{step.origin}: {error}") from error
        values.update(zip(step.outputs, (one.contiguous() for one in results), strict=True))
        return [clock.perf_counter_ns() - start] if timed else []


def _bindings(values: dict[Value, Tensor]) -> dict[Any, int]:
    """Returns what each symbol is, by the sizes of the tensors that are there."""
    return {
        size: tensor.shape[axis]
        for value, tensor in values.items()
        for axis, size in enumerate(value.size)
        if not isinstance(size, int) and size.is_Symbol
    }


def _number(size: Size, bindings: dict[Any, int]) -> int:
    return size if isinstance(size, int) else int(size.subs(bindings))


def _seen(value: Value, values: dict[Value, Tensor], bindings: dict[Any, int]) -> Tensor:
    """Returns the tensor of a value, of a view too."""
    root = value.root
    tensor = values[root] if root.data is None else root.data
    if value is root:
        return tensor
    size, stride = ([_number(one, bindings) for one in some] for some in (value.size, value.stride))
    return tensor.contiguous().as_strided(size, stride, _number(value.offset, bindings))


def _whole(step: Step, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape of a result without the blocks and halos of its layout."""
    places = {"blocked_convolution": (1, 13), "blocked_depthwise": (1, 13), "blocked_pool": (0, 11), "relayout": (1, 2)}
    if step.what not in places or len(shape) != 5:
        return shape
    channels, halo = places[step.what]
    pixels = [size - 2 * wide for size, wide in zip(shape[2:4], step.sizes[halo : halo + 2], strict=True)]
    return shape[0], step.sizes[channels], *pixels


def _explained(step: Step, time: float, share: float, *, prepares: bool, values: dict[Value, Tensor]) -> Explained:
    out = step.outputs[0]
    bindings = _bindings(values)
    shape = tuple(values[out].shape) if out in values else tuple(_number(size, bindings) for size in out.size)
    shape = _whole(step, shape)
    density = gflops = None
    kernel = f"PyTorch: {step.kernel}" if step.what == "torch" else step.what
    if step.weight is not None:
        density = float(step.weight.count_nonzero()) / max(step.weight.numel(), 1)
        kernel = f"{step.what}, {step.kernel}"
        each = math.prod(shape) / max(len(step.weight), 1)
        gflops = 2.0 * each * float(step.weight.count_nonzero()) / (1000.0 * max(time, 1e-3))
    return Explained(step.origin, kernel, shape, density, time, gflops, 0.0 if prepares else share, prepares)
