"""Decides which steps work on images in blocks of channels, so that as few numbers as possible are converted.

Convolutions work on blocked images; pooling, means over whole images and elementwise steps can do with either layout;
everything else takes whole channels. A value is converted once if a step reads it in another layout than it was
written in, which costs as many numbers as it has. That makes the cheapest choice a minimum cut between the steps that
have to be blocked and those that must not be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import networkx as nx

from gossamer.deploy.engine.graph import Graph, Operation, Size, Step, Value, all_same, product

BLOCK = 16  # channels of a block, unless it is one
_MEAN, _LARGEST = 1, 2  # kinds of reduction that are pooling too
_ZERO_OF_ZERO = {"relu", "leaky", "elu", "gelu", "gelu_tanh", "silu", "tanh", "sqrt", "absolute", "erf", "hard_swish"}
_BLOCKED, _PLAIN = "blocked", "plain"


def choose_layouts(graph: Graph, sizes: Mapping[Any, int], block: int = BLOCK) -> tuple[set[Step], int]:
    """Returns the steps that shall work on blocked images, and how many numbers are converted then.

    Args:
        graph: Before any step is blocked.
        sizes: What each symbol is in the example.
        block: Channels of a block.
    """
    nodes: dict[Step, Any] = {step: place for place, step in enumerate(graph.steps)}
    for step in graph.steps:
        if step.what == "convolution":
            nodes[step] = _BLOCKED
        elif not images_of(step):
            nodes[step] = _PLAIN
    network = nx.DiGraph()
    network.add_nodes_from([_BLOCKED, _PLAIN, *nodes.values()])
    for value, (writer, readers) in _uses(graph, nodes).items():
        cost = 0 if as_good_as_plain(value, block) else _count(value, sizes)
        network.add_edge(writer, (value, "to plain"), capacity=cost)
        network.add_edge((value, "to blocks"), writer, capacity=cost)
        for reader in readers:
            network.add_edge((value, "to plain"), reader)
            network.add_edge(reader, (value, "to blocks"))
    cost, (blocked, _) = nx.minimum_cut(network, _BLOCKED, _PLAIN)
    return {step for step, node in nodes.items() if node in blocked}, cost


def images_of(step: Step) -> list[Value]:
    """Returns the images a step reads and would read in blocks; [] where it cannot work on blocks."""
    if not step.inputs or step.outputs[0].kind != "result":
        return []
    first = step.inputs[0]
    if step.what == "convolution":
        return [value for value in step.inputs if value is not None]
    if step.what == "pool" and first is not None and len(first.size) == 4:
        return [first]
    if step.what == "reduce" and first is not None and len(first.size) == 4 and step.sizes[:2] == [2, 2]:
        return [first] if step.sizes[2] in (_MEAN, _LARGEST) else []
    if step.what == "pointwise":
        return _elementwise(step)
    return []


def is_single(value: Value) -> bool:
    """Says whether a value is one number, repeated or not."""
    return value.root.kind == "constant" and value.root.data is not None and value.root.data.numel() == 1


def is_one_a_channel(value: Value) -> bool:
    """Says whether a value is (images, channels, 1, 1), or a constant (1, channels, 1, 1)."""
    ones = value.size[2:] if value.kind != "constant" else (value.size[0], *value.size[2:])
    return len(value.size) == 4 and all(isinstance(one, int) and one == 1 for one in ones)


def as_good_as_plain(value: Value, block: int) -> bool:
    """Says whether the blocks of a value, without a halo, lie in memory as whole channels do."""
    pixels = value.size[2:]
    return isinstance(value.size[1], int) and value.size[1] % block == 0 and all(one == 1 or one == 1 for one in pixels)


def _elementwise(step: Step) -> list[Value]:
    """Elementwise steps work on blocks, halo and all, if they make zeros of zeros."""
    out, found = step.outputs[0], []
    zeros = []
    if len(out.size) != 4:
        return []
    for place, value in enumerate(step.inputs):
        if value is None or not isinstance(value.size[1] if len(value.size) == 4 else 0, int):
            return []
        if is_single(value):
            continue
        if value.kind in ("input", "result") and all_same(value.size, out.size):
            zeros.append(place)
        elif value.kind == "view" or not is_one_a_channel(value) or value.size[1] != out.size[1]:
            return []
        found.append(value)
    return found if zeros and _keeps_zeros(step.program, len(step.inputs), set(zeros)) else []


def _keeps_zeros(program: list[Operation], inputs: int, zeros: set[int]) -> bool:
    """Says whether a program makes zeros where the inputs `zeros` are zero, whatever the others are."""
    known = set(zeros)
    for place, one in enumerate(program):
        a, b = one.a in known, one.b in known
        zero = {
            "add": a and b,
            "subtract": a and b,
            "maximum": a and b,
            "minimum": a and b,
            "multiply": a or b,
            "affine": a and one.q == 0,
            "clamp": a and one.p <= 0 <= one.q,
            "square": a,
        }.get(one.what, a and one.what in _ZERO_OF_ZERO)
        if zero:
            known.add(inputs + place)
    return inputs + len(program) - 1 in known


def _uses(graph: Graph, nodes: dict[Step, Any]) -> dict[Value, tuple[Any, list[Any]]]:
    """Returns the step that writes each image, and those that read it; what reads a view reads whole channels."""
    writer: dict[Value, Any] = {}
    readers: dict[Value, list[Any]] = {}
    for step in graph.steps:
        images = images_of(step)
        for value in step.inputs:
            if value is None:
                continue
            if value in images:
                readers.setdefault(value, []).append(nodes[step])
            if value.root is not value or value not in images:
                readers.setdefault(value.root, []).append(_PLAIN)
        for value in step.outputs:
            writer[value] = nodes[step] if value.kind == "result" and len(step.outputs) == 1 else _PLAIN
    for value in graph.outputs:
        readers.setdefault(value, []).append(_PLAIN)
    return {value: (writer.get(value, _PLAIN), some) for value, some in readers.items() if _may_be_image(value)}


def _may_be_image(value: Value) -> bool:
    return len(value.size) >= 2 and value.kind != "constant"


def _count(value: Value, sizes: Mapping[Any, int]) -> int:
    total: Size = product(value.size)
    return total if isinstance(total, int) else int(total.subs({one: sizes.get(one, 1) for one in total.free_symbols}))
