"""Makes what follows a product part of it: norms, biases and ReLUs.

A factor or an offset for each output of a product goes into its weight and bias, which folds batch normalisation; a
ReLU, with or without a ceiling, is done while the results are in registers, and so is the sum of a convolution and
another image. Sums over neighbours take a bias, another value to add, and a ReLU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.deploy.engine.graph import Graph, Step, Value, all_same

PRODUCTS = ("linear", "convolution")


def fuse_epilogues(graph: Graph) -> None:
    """Takes single elementwise operations into the product or the sum over neighbours that they follow."""
    changed = True
    while changed:
        changed = False
        readers = graph.readers()
        for step in list(graph.steps):
            if step.what not in (*PRODUCTS, "propagate"):
                continue
            after = _only_reader(graph, step, readers)
            if after is None:
                continue
            taken = _into_product(graph, step, after) if step.what in PRODUCTS else _into_sum(graph, step, after)
            if taken:
                step.outputs = after.outputs
                step.origin = f"{step.origin} + {after.origin}"
                graph.steps.remove(after)
                changed = True
                break


def _only_reader(graph: Graph, step: Step, readers: dict[Value, list[Step]]) -> Step | None:
    """Returns the elementwise step of one operation that alone reads a result, once and whole."""
    out = step.outputs[0]
    if out in graph.outputs or len(readers.get(out, [])) != 1:
        return None
    after = readers[out][0]
    if after.what != "pointwise" or len(after.program) != 1 or after.inputs.count(out) != 1:
        return None
    return after if all_same(after.outputs[0].size, out.size) else None


def _into_product(graph: Graph, step: Step, after: Step) -> bool:
    operation, out = after.program[0], step.outputs[0]
    if operation.what == "relu":
        step.relu = True
        return True
    if operation.what == "clamp" and operation.p == 0 and step.what == "convolution":
        step.relu, step.ceiling = True, min(step.ceiling, operation.q)
        return True
    if step.relu:
        return False
    if operation.what == "affine":
        return _scaled(step, operation.p, operation.q)
    other = next((value for value in after.inputs if value is not out), None)
    factors = None if other is None else _one_an_output(step, other)
    if operation.what == "add":
        return _added_image(graph, step, other) if factors is None else _scaled(step, 1.0, factors)
    return operation.what == "multiply" and factors is not None and _scaled(step, factors, 0.0)


def _scaled(step: Step, factor: Tensor | float, offset: Tensor | float) -> bool:
    """Takes a factor and an offset for each output, or for all, into weight and bias."""
    assert step.weight is not None
    same_scale = isinstance(factor, float) and factor == 1.0
    if not same_scale and step.what == "convolution" and step.inputs[1] is not None:
        return False  # what is added is scaled too
    factors = torch.as_tensor(factor, dtype=torch.float64).expand(len(step.weight))
    bias = step.weight.new_zeros(len(step.weight)) if step.bias is None else step.bias
    step.weight = step.weight if same_scale else (step.weight.double() * factors[:, None]).float()
    step.bias = (bias.double() * factors + offset).float()
    return True


def _added_image(graph: Graph, step: Step, other: Value | None) -> bool:
    """Takes another image of the same size into a convolution: the sum at the end of a residual block."""
    if step.what != "convolution" or step.inputs[1] is not None or other is None or not other.contiguous:
        return False
    if (
        not all_same(other.size, step.outputs[0].size)
        or other.kind == "constant"
        or not _known_before(graph, other, step)
    ):
        return False
    step.inputs[1] = other
    return True


def _one_an_output(step: Step, other: Value) -> Tensor | None:
    """Returns the numbers of a constant that has one for each output of a product, or one for all; None else."""
    assert step.weight is not None
    if other.kind != "constant" or other.data is None:
        return None
    outputs = len(step.weight)
    behind = 2 if step.what == "convolution" else 0
    shape = tuple(other.data.shape)
    if other.data.numel() == 1:
        return other.data.reshape(1).expand(outputs)
    core = shape[: len(shape) - behind] if behind else shape
    if any(one != 1 for one in shape[len(shape) - behind :] if behind) or len(shape) < behind + 1:
        return None
    if core[-1] != outputs or any(one != 1 for one in core[:-1]):
        return None
    return other.data.reshape(outputs)


def _into_sum(graph: Graph, step: Step, after: Step) -> bool:
    """Sums over neighbours: inputs are indptr, indices, x, source, target, add, bias."""
    operation, out = after.program[0], step.outputs[0]
    if step.sizes[0]:
        return False
    if operation.what == "relu":
        step.sizes = [1]
        return True
    other = next((value for value in after.inputs if value is not out), None)
    if operation.what != "add" or other is None:
        return False
    if (
        other.kind == "constant"
        and len(other.size) == 1
        and all_same(other.size, out.size[-1:])
        and step.inputs[6] is None
    ):
        step.inputs[6] = other
        return True
    if (
        step.inputs[5] is None
        and all_same(other.size, out.size)
        and other.contiguous
        and _known_before(graph, other, step)
    ):
        step.inputs[5] = other
        step.numbers = [1.0]
        return True
    return False


def _known_before(graph: Graph, value: Value, step: Step) -> bool:
    """Says whether a value has been written when a step runs."""
    later = graph.steps[graph.steps.index(step) :]
    return not any(output.root is value.root for each in later for output in each.outputs)
