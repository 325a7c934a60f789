"""Gives each product of the graph its kernel, by the clock of this machine.

A weight without zeros is a pattern that leaves nothing out, in blocks of 16 outputs. For one with zeros, or with fewer
outputs than a block has, blocks of 16 and of 8 outputs and, outside convolutions, single weights are packed and timed
on inputs of the example's size; the fastest stays. Convolutions of single weights need another layout of images, which
`compile` tries as a whole.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gossamer.deploy.engine.builder import Builder
from gossamer.deploy.engine.graph import Graph, Step, Value
from gossamer.deploy.engine.passes.layouts import BLOCK
from gossamer.deploy.engine.words import encode
from gossamer.kernels import native
from gossamer.nn.packed import MATRICES
from gossamer.timing import interleaved

PRODUCTS = ("linear", "blocked_convolution", "recurrent")
_FEWEST_ZEROS = 0.1  # below this leaving out zeros has no chance
_NARROW = 8  # outputs: half of a block is empty
_MANY_ZEROS, _TOGETHER = 0.8, 0.7  # of single weights, and of 16 outputs at a time
_REPEATS, _SECONDS = 30, 0.1


def choose_kernels(graph: Graph, sizes: dict[Any, int], threads: int) -> None:
    """Packs the weight of every product for the kernel that is fastest.

    Args:
        graph: After its passes.
        sizes: What each symbol is in the example.
        threads: Of a run.
    """
    known: dict[Any, str] = {}  # what was fastest, for layers alike
    for place, step in enumerate(graph.steps):
        if step.what in PRODUCTS:
            graph.steps[place] = _fastest(step, sizes, threads, known)
        elif step.what == "blocked_depthwise":
            graph.steps[place] = packed_filters(step)


def scattered(graph: Graph) -> bool:
    """Says whether convolutions have few weights, and those not side by side in blocks: then another layout may pay."""
    for step in graph.steps:
        if step.what == "blocked_convolution" and step.weight is not None:
            zeros = step.weight == 0
            padded = torch.nn.functional.pad(zeros, (0, 0, 0, -len(zeros) % BLOCK), value=True)
            together = padded.view(-1, BLOCK, zeros.shape[1]).all(1)
            if zeros.float().mean() > _MANY_ZEROS and together.float().mean() < _TOGETHER:
                return True
    return False


def _fastest(step: Step, sizes: dict[Any, int], threads: int, known: dict[Any, str]) -> Step:
    assert step.weight is not None
    assert step.inputs[0] is not None
    blocked = step.what == "blocked_convolution"
    if blocked and step.outputs[0].size[-1] == 1:
        return packed(step, "csr", step.weight != 0).replace(kernel="csr")
    allowed = torch.ones_like(step.weight, dtype=torch.bool) if step.places is None else step.places
    zeros = 1.0 - float(step.weight.count_nonzero()) / max(int(allowed.sum()), 1)
    candidates = {"dense": packed(step, "blocks", allowed)}
    if zeros >= _FEWEST_ZEROS or len(step.weight) <= _NARROW:
        kernels = ("blocks", "blocks8") if blocked else ("blocks", "blocks8", "csr")
        candidates |= {kernel: packed(step, kernel, step.weight != 0) for kernel in kernels}
    best = "dense"
    open_sizes = (one for value in _given(step) for one in value.size if not isinstance(one, int))
    if any(not one.free_symbols <= set(sizes) for one in open_sizes):
        best = "blocks" if len(candidates) > 1 else "dense"
    elif len(candidates) > 1:
        stored = tuple(one.inputs[1].size for one in candidates.values() if one.inputs[1] is not None)
        case = (step.what, step.inputs[0].size, *step.sizes, *step.weight.shape, stored)
        if case not in known:
            runs = {kernel: _run(one, sizes, threads) for kernel, one in candidates.items()}
            times = interleaved(runs, repeats=_REPEATS, seconds=_SECONDS)
            known[case] = min(times, key=lambda kernel: times[kernel].quick_ms)
        best = known[case]
    return candidates[best].replace(kernel=best)


def packed(step: Step, kernel: str, keep: Tensor) -> Step:
    """Returns a product whose weight is packed: inputs x, values, indptr, indices, bias, and what else it reads."""
    assert step.weight is not None
    rows, columns = step.weight.shape
    matrix = MATRICES[kernel](rows, columns, torch.float32)
    matrix.pack(step.weight, keep)
    builder = Builder()
    constants = [builder.constant(one) for one in (matrix.values, matrix.indptr, matrix.indices)]
    bias = None if step.bias is None else builder.constant(step.bias)
    inputs = [step.inputs[0], *constants, bias, *step.inputs[1:]]
    if step.what != "blocked_convolution":
        return step.replace(inputs=inputs, sizes=[rows, columns, matrix.height, int(step.relu), *step.sizes])
    sizes = [step.sizes[0], rows, matrix.height, *step.sizes[1:]]
    return step.replace(inputs=inputs, sizes=sizes, numbers=_bounds(step))


def packed_filters(step: Step) -> Step:
    """Returns a depthwise convolution whose filters lie in blocks of 16 channels: (blocks, taps, 16)."""
    assert step.weight is not None
    channels = len(step.weight)
    filters = step.weight.view(channels, channels, -1).diagonal().t()
    filters = torch.nn.functional.pad(filters, (0, 0, 0, -channels % BLOCK))
    filters = filters.reshape(-1, BLOCK, filters.shape[1]).transpose(1, 2)
    builder = Builder()
    bias = None if step.bias is None else builder.constant(step.bias)
    inputs = [step.inputs[0], builder.constant(filters), None, None, bias, step.inputs[1]]
    sizes = [step.sizes[0], channels, BLOCK, *step.sizes[1:]]
    return step.replace(inputs=inputs, sizes=sizes, numbers=_bounds(step), kernel="dense")


def _bounds(step: Step) -> list[float]:
    return [0.0 if step.relu else -math.inf, step.ceiling]


def _run(step: Step, sizes: dict[Any, int], threads: int) -> Any:
    """Returns a call of one step on random numbers of the example's sizes."""
    known = {value: _sized(value, sizes) for value in (*_given(step), *step.outputs)}
    inputs, outputs = ([known[value] for value in some] for some in (_given(step), step.outputs))
    alone = step.replace(
        inputs=[known.get(value, value) if value is not None else None for value in step.inputs], outputs=outputs
    )
    words, constants = encode(inputs, outputs, [alone])
    module = native.kernels()
    assert module is not None
    engine = module.Engine(words, [one.data_ptr() for one in constants], [one.nbytes for one in constants], threads)
    tensors, results = [torch.randn(one.size) for one in inputs], [torch.empty(one.size) for one in outputs]
    instance = engine.instance([list(one.size) for one in inputs])
    to, back = ([one.data_ptr() for one in some] for some in (tensors, results))
    return lambda: (engine.run(instance, to, back), constants, tensors, results)


def _given(step: Step) -> list[Value]:
    """Returns what a step reads that is no constant."""
    return list(dict.fromkeys(value for value in step.inputs if value is not None and value.kind != "constant"))


def _sized(value: Value, sizes: dict[Any, int]) -> Value:
    """Returns a contiguous result of the sizes that a value has in the example."""
    return Value("result", tuple(one if isinstance(one, int) else int(one.subs(sizes)) for one in value.size))
