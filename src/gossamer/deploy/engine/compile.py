"""Compiles a network into an engine: trace, lower, simplify, choose kernels, lay out."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.deploy.engine.engine import Engine
from gossamer.deploy.engine.kernels import choose_kernels, scattered
from gossamer.deploy.engine.lower import lower
from gossamer.deploy.engine.passes import choose_layouts, simplify, use_blocks
from gossamer.deploy.engine.passes.layouts import BLOCK
from gossamer.deploy.export.inputs import Inputs, inputs_of
from gossamer.deploy.export.layers import standard_layers
from gossamer.deploy.export.trace import predicting, trace, with_our_layers
from gossamer.errors import SettingError
from gossamer.timing import interleaved


def compile(  # noqa: A001  it is called as gossamer.deploy.compile
    model: nn.Module, example: tuple[Any, ...], *, dynamic: bool = True, threads: int | None = None
) -> Engine:
    """Compiles a network for prediction on this machine's CPU.

    Args:
        model: Any network that `torch.export` can trace; it is left as it is. Pruned layers get sparse kernels where
            these are faster here.
        example: Its positional arguments; tensors, CSR or Graph.
        dynamic: Whether the number of images, nodes and edges may differ from call to call.
        threads: Of a call; PyTorch's own number by default.

    Returns:
        The engine, which is called like the model. What has no kernel runs in PyTorch; `Engine.torch_steps` names it.

    Raises:
        ModelError: The network cannot be traced, or there are no native kernels here.
        SettingError: `threads` is below 1.
    """
    if threads is not None and threads < 1:
        raise SettingError(f"threads is {threads}; expected at least 1")
    threads = threads or torch.get_num_threads()
    plain = standard_layers(predicting(model))
    inputs = inputs_of(plain, example)
    if not dynamic:
        inputs = inputs.fixed()
    with torch.no_grad():
        single = isinstance(plain(*example), Tensor)
    program = trace(with_our_layers(plain, inputs), inputs, standard=False)
    build = partial(_built, program, inputs, threads=threads, single=single)
    engines = {"blocks": build(BLOCK)}
    if not scattered(engines["blocks"].graph):
        return engines["blocks"]
    engines["planes"] = build(1)
    times = interleaved({name: partial(_call, one, example) for name, one in engines.items()}, repeats=30, seconds=0.3)
    return engines[min(times, key=lambda name: times[name].quick_ms)]


def _built(program: Any, inputs: Inputs, block: int, *, threads: int, single: bool) -> Engine:
    """Returns an engine whose images lie in blocks of so many channels."""
    graph = simplify(lower(program))
    sizes = {
        size: one.value.shape[axis]
        for value, one in zip(graph.inputs, inputs.of, strict=True)
        for axis, size in enumerate(value.size)
        if not isinstance(size, int) and size.is_Symbol
    }
    use_blocks(graph, choose_layouts(graph, sizes, block)[0], block)
    choose_kernels(graph, sizes, threads)
    return Engine(graph, inputs, threads=threads, single=single)


def _call(engine: Engine, example: tuple[Any, ...]) -> None:
    engine(*example)
