"""Compiles a network into an engine: trace, lower, simplify, choose kernels, lay out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from gossamer.deploy.engine.engine import Engine
from gossamer.deploy.engine.kernels import choose_kernels, scattered
from gossamer.deploy.engine.lower import lower
from gossamer.deploy.engine.passes import choose_layouts, simplify, use_blocks
from gossamer.deploy.engine.passes.layouts import BLOCK
from gossamer.deploy.engine.traces import Traces, tensors_of
from gossamer.deploy.export.inputs import Inputs, inputs_of, positional
from gossamer.deploy.export.layers import standard_layers
from gossamer.deploy.export.recurrent import traceable
from gossamer.deploy.export.trace import predicting, with_our_layers
from gossamer.errors import SettingError
from gossamer.timing import interleaved


def compile(  # noqa: A001  it is called as gossamer.deploy.compile
    model: nn.Module,
    example: Sequence[Any] | Mapping[str, Any],
    *,
    dynamic: bool | Mapping[str, Mapping[int, str]] = True,
    threads: int | None = None,
    traces: Traces | None = None,
) -> Engine:
    """Compiles a network for prediction on this machine's CPU.

    Args:
        model: Any network that `torch.export` can trace; it is left as it is. Pruned layers get sparse kernels where
            these are faster here.
        example: Its arguments, in order or by name: tensors, CSR or Graph. By name there may be settings too, such as
            `use_cache=False`, which stay as they are.
        dynamic: Whether the number of images, nodes and edges may differ from call to call. A mapping names further
            axes that may: `{"pixels": {2: "height", 3: "width"}}`; those of the same name have the same size.
        threads: Of a call; PyTorch's own number by default.
        traces: Traced programs of networks of the same structure, one of which is taken if it is there.

    Returns:
        The engine, which is called like the model; if that returns more than a tensor, it returns a tuple of all
        tensors in there. What has no kernel runs in PyTorch; `Engine.torch_steps` names it.

    Raises:
        ModelError: The network cannot be traced, or there are no native kernels here.
        SettingError: `threads` is below 1, or `dynamic` names what is not there.
    """
    if threads is not None and threads < 1:
        raise SettingError(f"threads is {threads}; expected at least 1")
    threads = threads or torch.get_num_threads()
    plain, arguments = positional(standard_layers(predicting(model)), example)
    inputs = inputs_of(plain, arguments)
    if isinstance(dynamic, Mapping):
        inputs = inputs.with_axes(dynamic)
    elif not dynamic:
        inputs = inputs.fixed()
    with torch.no_grad():
        single = isinstance(plain(*arguments), Tensor)
    network = traceable(with_our_layers(plain, inputs), standard=False)
    program = (Traces() if traces is None else traces).program(network, inputs)
    build = partial(_built, program, tensors_of(network), inputs, threads=threads, single=single)
    engines = {"blocks": build(BLOCK)}
    if not scattered(engines["blocks"].graph):
        return engines["blocks"]
    engines["planes"] = build(1)
    calls: dict[str, Callable[[], Any]] = {name: partial(one, *arguments) for name, one in engines.items()}
    times = interleaved(calls, repeats=30, seconds=0.3)
    return engines[min(times, key=lambda name: times[name].quick_ms)]


def _built(
    program: ExportedProgram, tensors: dict[str, Tensor], inputs: Inputs, block: int, *, threads: int, single: bool
) -> Engine:
    """Returns an engine whose images lie in blocks of so many channels."""
    graph = simplify(lower(program, tensors))
    sizes = {
        size: one.value.shape[axis]
        for value, one in zip(graph.inputs, inputs.of, strict=True)
        for axis, size in enumerate(value.size)
        if not isinstance(size, int) and size.is_Symbol
    }
    use_blocks(graph, choose_layouts(graph, sizes, block)[0], block)
    choose_kernels(graph, sizes, threads)
    return Engine(graph, inputs, threads=threads, single=single)
