"""Turns a traced program into the engine's graph, operator by operator.

Each operator of ATen has a rule in `rules`; what depends on constants alone is computed once, here; and an operator
without a rule, or used in a way that its rule does not know, becomes a PyTorch step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from sympy import Basic
from torch import Tensor
from torch.export import ExportedProgram, default_decompositions
from torch.fx import Node
from torch.fx.node import map_arg

from gossamer.deploy.engine.builder import NUMBERS, Builder, Unsupported, size_of, sizes_of
from gossamer.deploy.engine.graph import Graph, Size, Step, Value
from gossamer.deploy.engine.rules import RULES
from gossamer.deploy.export.quiet import quiet

_NOTHING = ("_assert", "sym_constrain")  # operators that only check


def decomposed(program: ExportedProgram) -> ExportedProgram:
    """Returns a traced program of plain tensors in the operators that have rules."""
    with quiet():
        plain: ExportedProgram = program.run_decompositions(_decompositions())
    return plain


def lower(program: ExportedProgram, state: Mapping[str, Tensor] | None = None) -> Graph:
    """Returns the graph of a program that `decomposed` returned.

    Args:
        program: Of plain tensors, traced for prediction.
        state: Parameters and buffers to take instead of the program's own, by name.
    """
    lowering = _Lowering(program, state or {})
    for node in program.graph.nodes:
        lowering.take(node)
    _bounded(lowering.builder.graph, lowering.builder.bounds)
    return lowering.builder.graph


def _bounded(graph: Graph, bounds: Mapping[Size, Size]) -> None:
    """Puts the most that a size can be in the place of sizes that only the numbers tell."""
    if not bounds:
        return

    def known(sizes: Iterable[Size]) -> tuple[Size, ...]:
        return tuple(size if isinstance(size, int) else size.subs(bounds) for size in sizes)

    for step in graph.steps:
        step.sizes = list(known(step.sizes))
        for value in (*step.inputs, *step.outputs):
            if value is not None:
                value.size, value.stride = known(value.size), known(value.stride)
                (value.offset,) = known([value.offset])


def _decompositions() -> dict[Any, Callable[..., Any]]:
    """Returns how operators without a rule are made of others."""
    table: Any = default_decompositions()
    return {operator: made for operator, made in table.items() if str(operator) not in RULES}


class _Lowering:
    def __init__(self, program: ExportedProgram, own: Mapping[str, Tensor]) -> None:
        self.builder = Builder()
        self._known: dict[Node, Any] = {}
        signature = program.graph_signature
        state = {**program.state_dict, **program.constants, **own}
        named = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self._constants = {name: state[target] for name, target in named.items()}
        self._parameters = signature.inputs_to_parameters

    def take(self, node: Node) -> None:
        """Lowers one node."""
        if node.op == "placeholder":
            self._known[node] = self._placeholder(node)
        elif node.op == "output":
            self._outputs(node)
        elif node.op == "call_function" and not any(word in str(node.target) for word in _NOTHING):
            self._known[node] = self._call(node)

    def _placeholder(self, node: Node) -> Value:
        if node.name in self._constants:
            return self.builder.constant(self._constants[node.name])
        value = Value("input", sizes_of(node), node.meta["val"].dtype)
        self.builder.graph.inputs.append(value)
        return value

    def _outputs(self, node: Node) -> None:
        """Makes each output a result of its own: a copy where it is an input, a constant, a view or there twice."""
        graph = self.builder.graph
        self.builder.origin = "output"
        for one in cast("Sequence[Node]", node.args[0]):
            value = self._known[one]
            if value.kind != "result" or value in graph.outputs:
                value = self.builder.add(Step("copy", [value], [self.builder.result(value.size, value.dtype)]))
            graph.outputs.append(value)

    def _call(self, node: Node) -> Any:
        found = node.meta.get("val")
        if found is None or isinstance(found, torch.SymBool):
            return None  # only what checks reads it
        if isinstance(found, int | float | bool | torch.SymInt):
            return size_of(found) if isinstance(found, torch.SymInt) else found
        name = str(node.target)
        if name == "<built-in function getitem>":
            source, place = cast("tuple[Node, int]", node.args)
            return self._known[source][place]
        self.builder.origin = name.removesuffix(".default").replace("aten.", "")
        args, kwargs = self._given(node.args), self._given(node.kwargs)
        values = _values((args, kwargs))
        if all(value.kind == "constant" for value in values) and not _open((args, kwargs)) and not _drawn(node):
            return self._folded(node, args, kwargs)
        before = len(self.builder.graph.steps)
        try:
            if name not in RULES:
                raise Unsupported("no kernel")
            found = RULES[name](self.builder, node, *args, **kwargs)
            for step in self.builder.graph.steps[before:]:
                step.layer = self._layer(node) if step.weight is not None else ""
            return found
        except Unsupported as reason:
            del self.builder.graph.steps[before:]
            return self._in_torch(node, str(reason))

    def _layer(self, node: Node) -> str:
        """Returns the name of the parameter that is the weight of a product, of the network itself."""
        names = [self._parameters[one.name] for one in node.all_input_nodes if one.name in self._parameters]
        return next((name for name in names if not name.endswith("bias")), "").removeprefix("model.")

    def _given(self, argument: Any) -> Any:
        return map_arg(argument, lambda node: self._known[node])

    def _folded(self, node: Node, args: Any, kwargs: Any) -> Any:
        """Computes what depends on constants alone."""
        plain = _replaced((args, kwargs), lambda value: value.data)
        with torch.no_grad():
            result = node.target(*plain[0], **plain[1])  # type: ignore[operator]
        return _replaced(result, self.builder.constant, Tensor)

    def _in_torch(self, node: Node, reason: str) -> Any:
        """Appends a PyTorch step for an operator; symbols among its arguments are worked out from its inputs."""
        sources = [one for one in node.all_input_nodes if isinstance(self._known[one], Value)]
        sizes = {one: self._known[one] for one in node.all_input_nodes if one not in sources}
        outputs = self._results(node)
        place = {one: i for i, one in enumerate(sources)}

        def call(tensors: Sequence[Tensor], symbols: Callable[[Any], int]) -> list[Tensor]:
            def argument(one: Node) -> Any:
                return tensors[place[one]] if one in place else symbols(sizes[one])

            result = node.target(*map_arg(node.args, argument), **map_arg(node.kwargs, argument))  # type: ignore[operator]
            return [result] if isinstance(result, Tensor) else [one for one in result if isinstance(one, Tensor)]

        inputs: list[Value | None] = [self._known[one] for one in sources]
        self.builder.add(Step("torch", inputs, _values(outputs), call=call, origin=str(node.target), kernel=reason))
        return outputs

    def _results(self, node: Node) -> Any:
        return _replaced(
            node.meta["val"],
            lambda one: self.builder.result(tuple(size_of(size) for size in one.shape), one.dtype),
            Tensor,
        )


def _open(tree: Any) -> bool:
    """Says whether a size among arguments depends on a call."""
    return any(isinstance(leaf, Basic) and not leaf.is_number for leaf in _leaves(tree))


def _drawn(node: Node) -> bool:
    """Says whether an operator draws at random."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, list | tuple):
        return [leaf for one in tree for leaf in _leaves(one)]
    if isinstance(tree, dict):
        return [leaf for one in tree.values() for leaf in _leaves(one)]
    return [tree]


def _values(tree: Any) -> list[Value]:
    return [leaf for leaf in _leaves(tree) if isinstance(leaf, Value)]


def _replaced(tree: Any, change: Callable[[Any], Any], kind: type = Value) -> Any:
    if isinstance(tree, list | tuple):
        return type(tree)(_replaced(one, change, kind) for one in tree)
    if isinstance(tree, dict):
        return {key: _replaced(one, change, kind) for key, one in tree.items()}
    return change(tree) if isinstance(tree, kind) else tree


__all__ = ["NUMBERS", "decomposed", "lower"]
