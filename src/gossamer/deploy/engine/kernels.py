"""Gives each product of the graph its kernel, by the clock of this machine.

A weight without zeros is a pattern that leaves nothing out, in blocks of 16 outputs. For one with zeros, or with fewer
outputs than a block has, blocks of 16 and of 8 outputs and single weights are packed and timed on inputs of the
example's size; the fastest stays.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gossamer.deploy.engine.builder import Builder
from gossamer.deploy.engine.graph import Graph, Step, Value
from gossamer.deploy.engine.words import encode
from gossamer.kernels import native
from gossamer.nn.packed import MATRICES
from gossamer.timing import interleaved

PRODUCTS = ("linear", "convolution", "recurrent")
_FEWEST_ZEROS = 0.1  # below this leaving out zeros has no chance
_NARROW = 8  # outputs: half of a block is empty
_REPEATS, _SECONDS = 30, 0.1


def choose_kernels(graph: Graph, sizes: dict[Any, int], threads: int) -> None:
    """Packs the weight of every product for the kernel that is fastest.

    Args:
        graph: After its passes.
        sizes: What each symbol is in the example.
        threads: Of a run.
    """
    for place, step in enumerate(graph.steps):
        if step.what in PRODUCTS:
            graph.steps[place] = _fastest(step, sizes, threads)


def _fastest(step: Step, sizes: dict[Any, int], threads: int) -> Step:
    assert step.weight is not None
    allowed = torch.ones_like(step.weight, dtype=torch.bool) if step.places is None else step.places
    zeros = 1.0 - float(step.weight.count_nonzero()) / max(int(allowed.sum()), 1)
    own = "csr" if step.places is not None and float(allowed.float().mean()) < 1 / 24 else "blocks"
    candidates = {"dense": packed(step, own, allowed)}
    if zeros >= _FEWEST_ZEROS or len(step.weight) <= _NARROW:
        candidates |= {kernel: packed(step, kernel, step.weight != 0) for kernel in ("blocks", "blocks8", "csr")}
    if len(candidates) == 1:
        return candidates["dense"].replace(kernel="dense")
    found = [one for value in _given(step) for one in value.size if not isinstance(one, int)]
    if any(not one.free_symbols <= set(sizes) for one in found):
        return candidates["blocks"].replace(kernel="blocks")
    runs = {kernel: _run(one, sizes, threads) for kernel, one in candidates.items()}
    times = interleaved(runs, repeats=_REPEATS, seconds=_SECONDS)
    best = min(times, key=lambda kernel: times[kernel].quick_ms)
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
    return step.replace(
        inputs=[step.inputs[0], *constants, bias, *step.inputs[1:]],
        sizes=[*step.weight.shape, matrix.height, int(step.relu), *step.sizes],
        weight=step.weight,
    )


def _run(step: Step, sizes: dict[Any, int], threads: int) -> Any:
    """Returns a call of one step on random numbers of the example's sizes."""
    known = {value: _sized(value, sizes) for value in (*_given(step), *step.outputs)}
    inputs, outputs = ([known[value] for value in some] for some in (_given(step), step.outputs))
    alone = step.replace(
        inputs=[known.get(one, one) if one is not None else None for one in step.inputs], outputs=outputs
    )
    words, constants = encode(inputs, outputs, [alone])
    module = native.kernels()
    assert module is not None
    engine = module.Engine(words, [one.data_ptr() for one in constants], [one.nbytes for one in constants], threads)
    given, results = [torch.randn(one.size) for one in inputs], [torch.empty(one.size) for one in outputs]
    instance = engine.instance([list(one.size) for one in inputs])
    to, back = ([one.data_ptr() for one in some] for some in (given, results))
    return lambda: (engine.run(instance, to, back), constants, given, results)


def _given(step: Step) -> list[Value]:
    """Returns what a step reads that is no constant."""
    return [value for value in step.inputs if value is not None and value.kind != "constant"]


def _sized(value: Value, sizes: dict[Any, int]) -> Value:
    known = tuple(one if isinstance(one, int) else int(one.subs(sizes)) for one in value.size)
    return Value("result", known)
