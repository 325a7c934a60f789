"""Traces one run of a network: which dimensions of which tensors are the same axis.

The network runs once on the example, in eval mode, and every ATen operator that it calls is seen at the dispatcher.
The operator's rule (`gossamer.structure.rules`) ties dimensions of its inputs to those of its outputs. Ties hold in
both directions and for good, so views, in-place operators and weights used twice need nothing of their own. One
level up, where Python calls PyTorch, `Calls` sees the sizes that are asked for and where they come from (`sizes`).

A run at the dispatcher takes any network that runs: `torch.export` sees the same operators, but takes many times as
long, refuses sizes that depend on data, and turns attributes into constants, which is what must be known here.

An operator without a rule freezes all dimensions it touches and is named in `unknown`.
"""

from __future__ import annotations

import copy
import weakref
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_iter, tree_map

from gossamer.cost import identity
from gossamer.counting import evaluating
from gossamer.errors import ModelError
from gossamer.structure import sizes
from gossamer.structure.axes import Axis, Mismatch, unify
from gossamer.structure.calls import Calls
from gossamer.structure.rules import apply
from gossamer.structure.rules.table import plain_name
from gossamer.structure.sizes import Attribute, Expression, Size

Axes = tuple[Axis, ...]
PRODUCTS = frozenset({"mm", "addmm", "_addmm_activation", "bmm", "baddbmm", "addbmm", "mv", "addmv", "linear"})
PRODUCTS |= {"_grouped_mm", "_sparse_mm", "_sparse_addmm", "convolution", "_convolution", "mkldnn_convolution"}


@dataclass(frozen=True)
class Measured:
    """A size that a forward pass works out of others, the axis that it is the size of, and where that happens."""

    expression: Expression
    axis: Axis
    module: str


@dataclass(frozen=True)
class Product:
    """A product of matrices, or a convolution, that the run took.

    Attributes:
        name: The operator.
        inputs: The axes of the tensors among its arguments, in order.
        fed: Which of these depend on the input of the network.
        output: The axes of its result.
    """

    name: str
    inputs: tuple[Axes, ...]
    fed: tuple[bool, ...]
    output: Axes


class Trace:
    """What one run told.

    Attributes:
        model: The copy of the network that was run.
        tensors: The axes of every parameter and buffer that took part, by name.
        names: All names of each of them; a shared weight has several.
        summed: Dimensions of parameters and buffers over which a product sums, (name, dimension): the weights there use
            what lies along the axis, those elsewhere make it.
        outputs: The shapes of the results, in the order of `tree_flatten`.
        unknown: Operators without a rule, and how often they were called.
        measured: What each attribute of a module is the size of.
        worked_out: Sizes that are worked out of others.
        as_numbers: Sizes whose value is used in the computation, as in a scale, and in which module.
        joined: The parts of every concatenation, in order.
        normalised: The operators that take a mean over dimensions, in order, and the axes of their input.
        products: The products that it took, in order.
        attributes: Every integer attribute that was followed, with the object and the module that hold it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.tensors: dict[str, Axes] = {}
        self.names: dict[str, list[str]] = {}
        self.summed: set[tuple[str, int]] = set()
        self.outputs: list[tuple[int, ...]] = []
        self.unknown: Counter[str] = Counter()
        self.measured: dict[Attribute, list[Measured]] = {}
        self.worked_out: list[Measured] = []
        self.as_numbers: list[tuple[Expression, str]] = []
        self.joined: list[Axes] = []
        self.normalised: list[tuple[str, Axes]] = []
        self.products: list[Product] = []
        self.stack = [""]  # dotted names of the modules that are running
        self.by_name = dict(model.named_modules())
        self.modules = {id(module): name for name, module in self.by_name.items()}
        self.arguments: dict[str, Any] = {}  # sizes of the Python call that is under way, by what they count
        self.attributes: dict[Attribute, tuple[Any, str]] = {}
        self._seen: list[weakref.ref[Tensor]] = []
        self._known: dict[int, str] = {}
        self._same: dict[Any, str] = {}
        self._memory: dict[int, str] = {}  # where the tensors lie, to know views of them
        for name, tensor in [
            *model.named_parameters(remove_duplicate=False),
            *model.named_buffers(remove_duplicate=False),
        ]:
            first = self._known.setdefault(id(tensor), name)
            self.names.setdefault(first, []).append(name)
            if (memory := identity(tensor)) is not None:
                self._same.setdefault(memory, first)
                self._memory.setdefault(tensor.untyped_storage().data_ptr(), first)

    def axes(self, tensor: Tensor) -> Axes:
        """Returns the axes of a tensor; those of one never seen are new, and frozen unless it is the network's."""
        axes: Axes | None = getattr(tensor, "_axes", None)
        if axes is not None and len(axes) == tensor.dim():
            return axes
        name = self._known.get(id(tensor)) or self._same.get(identity(tensor))
        if name in self.tensors:
            axes = self.tensors[name]
        else:
            axes = tuple(Axis(size) for size in tensor.shape)
            if name is None:
                self.freeze(axes, "it belongs to a tensor from outside the network")
                self._marked(tensor)._constant = True
            else:
                self.tensors[name] = axes
        self._marked(tensor)._axes = axes
        return axes

    def assign(self, tensor: Tensor, axes: Sequence[Axis]) -> None:
        """Says what the axes of a result are; of a tensor that had some, both are tied."""
        old: Axes | None = getattr(tensor, "_axes", None)
        if old is None and id(tensor) in self._known:
            old = self.axes(tensor)
        if old is not None and [axis.size for axis in old] == list(tensor.shape):
            for one, other in zip(old, axes, strict=True):
                self.tie(one, other)
        else:
            self._marked(tensor)._axes = tuple(axes)

    def mark_fed(self, tensor: Tensor) -> None:
        """Notes that a tensor depends on the network's input."""
        self._marked(tensor)._fed = True

    def _marked(self, tensor: Tensor) -> Any:
        """Returns a tensor that is given attributes for the time of the trace."""
        if not hasattr(tensor, "_axes"):
            self._seen.append(weakref.ref(tensor))
        return tensor

    def sum_over(self, factor: Tensor, axis: Axis) -> None:
        """Notes that a product sums over an axis of a factor, if that is a parameter, a buffer or a view of one."""
        axes = self.axes(factor)
        name = None if factor.layout != torch.strided else self._memory.get(factor.untyped_storage().data_ptr())
        if name not in self.tensors or not any(own is axis for own in axes):
            return
        own = self.tensors[name]
        dims = [dim for dim, one in enumerate(own) if one is axis]
        if not dims:  # a view of other sizes: the one dimension that its axis is of
            leaves = set(axis.leaves())
            dims = [dim for dim, one in enumerate(own) if one.size > 1 and leaves & set(one.leaves())]
        if len(dims) == 1:
            self.summed.add((name, dims[0]))

    def tie(self, *axes: Axis) -> Axis:
        """Ties axes of the same size position by position, and returns the first; freezes what does not fit."""
        first, *others = axes
        for other in others:
            try:
                unify(first, other)
            except Mismatch as error:
                reason = f"its parts do not fit another axis in {self.where} ({error})"
                first.freeze(reason)
                other.freeze(reason)
        return first

    def freeze(self, axes: Sequence[Axis], reason: str) -> None:
        """Keeps all units of these axes."""
        for axis in axes:
            axis.freeze(reason)

    @property
    def where(self) -> str:
        """The module that is running, for messages."""
        return self.stack[-1] or type(self.model).__name__

    def measure(self, size: int, axis: Axis) -> None:
        """Notes that a size that the network gave is that of an axis."""
        if axis.size < 2 or int(size) != axis.size:
            return
        expression = self.placed(sizes.expression(size))
        found = Measured(expression, axis, self.where)
        if expression.operation == "number":
            axis.freeze(f"its size, {int(size)}, is written as a number in {self.where}")
        elif expression.attribute is not None:
            known = self.measured.setdefault(expression.attribute, [])
            if known:
                self.tie(known[0].axis, axis)
            known.append(found)
        elif expression.axis is not None:
            self.tie(expression.axis, axis)
        else:
            self.worked_out.append(found)

    def equal(self, one: Expression, other: Expression) -> None:
        """Notes that the network compared two sizes that are the same: an attribute with that of a tensor."""
        for left, right in ((one, other), (other, one)):
            if left.attribute is not None and right.axis is not None:
                value = right.axis.size
                self.measure(Size(value, left, self._watch), right.axis)

    def used_as_number(self, expression: Expression) -> None:
        """Notes that the value of a size enters the computation."""
        self.as_numbers.append((self.placed(expression), self.where))

    def placed(self, expression: Expression) -> Expression:
        """Returns an expression whose attributes are those of modules: the one that runs, where several share one."""
        if expression.operands:
            operands = tuple(self.placed(operand) for operand in expression.operands)
            return Expression(expression.operation, operands=operands)
        attribute = expression.attribute
        if attribute is None or attribute.holder in self.modules:
            return expression
        holder, owner = self.attributes[attribute]
        modules = self.by_name
        for name in (*reversed(self.stack), owner):
            way = sizes.held_as(modules[name], holder)
            if way is not None:
                placed = Attribute(id(modules[name]), (*way, *attribute.path))
                return Expression("attribute", attribute=placed)
        return Expression("number")

    def size_of(self, tensor: Tensor, dim: int) -> Size:
        """Returns a size of a tensor that knows which axis it is of."""
        axis = self.axes(tensor)[dim]
        return Size(axis.size, Expression("axis", axis=axis), self._watch)

    def run(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, sized: bool) -> None:
        """Runs the network once; see `trace`."""
        self._watch = sizes.Watch(self.equal, self.used_as_number)
        self.attributes = sizes.follow(self.model, self._watch) if sized else {}
        args, kwargs = tree_map(_own, (tuple(args), dict(kwargs)))
        for tensor in tensors_in((args, kwargs)):
            axes = tuple(Axis(size) for size in tensor.shape)
            self.freeze(axes, "it belongs to an input of the network")
            self._marked(tensor)._axes = axes
            self._marked(tensor)._fed = True
        with evaluating(self.model), torch.no_grad(), plain_paths(self.model), self._stacked(), self._marks():
            with Operators(self), Calls(self, sized=sized):
                result = self.model(*args, **kwargs)
            for tensor in results_in(result):
                self.freeze(self.axes(tensor), "it belongs to an output of the network")
                self.outputs.append(tuple(tensor.shape))
        if not self.outputs:
            raise ModelError(f"{type(self.model).__name__} returned no tensor; expected a result to compare")

    @contextmanager
    def _marks(self) -> Iterator[None]:
        """Takes what was noted on tensors off those that outlive the block, such as an input's."""
        try:
            yield
        finally:
            for seen in self._seen:
                tensor: Any = seen()
                for name in ("_axes", "_constant", "_fed", "_sizes"):
                    if tensor is not None and hasattr(tensor, name):
                        delattr(tensor, name)
            self._seen.clear()

    @contextmanager
    def _stacked(self) -> Iterator[None]:
        """Keeps `stack` while the block runs."""
        handles = []
        for name, module in self.model.named_modules():

            def enter(_module: nn.Module, _inputs: Any, name: str = name) -> None:
                self.stack.append(name)

            def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
                self.stack.pop()

            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Shows every operator that runs to the trace."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._trace = trace

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        apply(self._trace, func, args, kwargs, result)
        self._follow(func, args, kwargs, result)
        return result

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Notes which results depend on the network's input, and what is multiplied."""
        given: list[Any] = [item for item in tree_iter((args, kwargs)) if isinstance(item, Tensor)]
        fed = tuple(hasattr(tensor, "_fed") for tensor in given)
        if any(fed):
            for item in result if isinstance(result, list | tuple) else (result,):
                if isinstance(item, Tensor):
                    self._trace.mark_fed(item)
        if (name := plain_name(func)) in PRODUCTS:
            axes = tuple(self._trace.axes(tensor) for tensor in given)
            self._trace.products.append(Product(name, axes, fed, self._trace.axes(result)))


def trace(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Trace:
    """Runs a copy of a network once and returns which dimensions hang together.

    Args:
        model: Any module; it is left as it is.
        args: Its positional arguments, tensors or anything that holds tensors.
        kwargs: Its keyword arguments.

    Raises:
        ModelError: The network cannot be copied, does not run on the example, or returns no tensor.
    """
    failure: Exception | None = None
    for sized in (True, False):  # in a network that refuses a Size in place of an int, all sizes are plain numbers
        found = Trace(shallow_copy(model))
        try:
            found.run(args, kwargs or {}, sized=sized)
        except ModelError:
            raise
        except Exception as error:  # whatever the network's own code raises
            failure = failure or error
        else:
            return found
    raise ModelError(f"{type(model).__name__} does not run on the example ({failure}); pass what its forward takes")


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yields the tensors in nested tuples, lists, dicts, registered dataclasses, and objects that keep tensors."""
    for leaf in tree_iter(value):
        if isinstance(leaf, Tensor):
            yield leaf
        elif hasattr(leaf, "__dict__") and not isinstance(leaf, type | nn.Module) and not callable(leaf):
            yield from (item for item in _kept_in(leaf, set()))


def results_in(value: Any) -> list[Tensor]:
    """Returns the tensors of a network's result; those that objects keep, as caches do, only if it has no others."""
    plain = [leaf for leaf in tree_iter(value) if isinstance(leaf, Tensor)]
    return plain or list(tensors_in(value))


def _kept_in(value: Any, seen: set[int]) -> Iterator[Tensor]:
    if id(value) in seen:
        return
    seen.add(id(value))
    for item in tree_flatten(dict(vars(value)))[0]:
        if isinstance(item, Tensor):
            yield item
        elif hasattr(item, "__dict__") and not isinstance(item, type | nn.Module) and not callable(item):
            yield from _kept_in(item, seen)


def _own(value: Any) -> Any:
    """Returns a copy of an input that can be given attributes without the caller seeing them."""
    return value.detach().clone() if isinstance(value, Tensor) else copy.copy(value)


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """As `deepcopy`, quicker for what modules keep many of: empty dictionaries and numbers."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (dict, OrderedDict) and not value:
        return type(value)()
    return copy.deepcopy(value, memo)


def _is_plain(kind: type[nn.Module]) -> bool:
    """Says whether instances are copied as their dictionaries are."""
    own = ("__deepcopy__", "__copy__", "__getstate__", "__reduce__", "__reduce_ex__", "__slots__")
    usual = all(getattr(kind, name, None) is getattr(nn.Module, name, None) for name in own)
    return usual and kind.__setstate__ is nn.Module.__setstate__


def shallow_copy(model: nn.Module) -> nn.Module:
    """Returns a copy whose parameters lie in the same memory, for runs that do not write to them.

    Raises:
        ModelError: The network cannot be copied.
    """
    shared = {
        id(parameter): nn.Parameter(parameter.detach(), parameter.requires_grad)
        for parameter in model.parameters()
        if type(parameter) is nn.Parameter
    }
    memo: dict[int, Any] = dict(shared)
    try:
        plain = [module for module in model.modules() if _is_plain(type(module))]
        for module in plain:
            memo[id(module)] = type(module).__new__(type(module))
        for module in plain:
            vars(memo[id(module)]).update({key: _copied(value, memo) for key, value in vars(module).items()})
        return copy.deepcopy(model, memo)
    except Exception as error:
        raise ModelError(
            f"{type(model).__name__} cannot be copied ({error}); detach tensors kept as attributes first"
        ) from error


@contextmanager
def plain_paths(model: nn.Module) -> Iterator[None]:
    """Turns off fused shortcuts of whole layers, which hide their parts, for the time of the block."""
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    fast, onednn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    if recurrent:  # a recurrent layer is one operator of oneDNN, and many of ATen
        torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)
