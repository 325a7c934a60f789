"""What units hold while a network runs: the products of a run, met again in the order in which they were traced.

A product that sums over a group's units sees what they hold where it is used: behind the non-linearity, whichever
module or function that is, and beside the shortcut where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from gossamer.errors import ModelError
from gossamer.structure.axes import Axis
from gossamer.structure.groups import Group
from gossamer.structure.rules.table import plain_name
from gossamer.structure.trace import PRODUCTS, Product, Trace

Visit = Callable[[Group, Tensor], None]


class Done(Exception):  # noqa: N818  caught by `Observer.run`
    """Raised by a handler that has seen all it wants."""


class Handler:
    """What is told of the operators that run; by default nothing is done.

    Every method returns the operator's result.
    """

    def product(self, product: Product, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Called in place of each product."""
        del product
        return func(*args, **kwargs)

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Called in place of every other operator."""
        return func(*args, **kwargs)


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Shows a handler each product with its traced axes.

    Raises:
        ModelError: The network takes other products than in the traced run.
    """

    def __init__(self, products: Sequence[Product], handler: Handler, network: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left = iter(products)
        self._handler, self._network = handler, network

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        name, kwargs = plain_name(func), kwargs or {}
        if name not in PRODUCTS:
            return self._handler.other(func, args, kwargs)
        product = next(self._left, None)
        if product is None or product.name != name or len(product.inputs) != len(tensors_of(args, kwargs)):
            raise ModelError(
                f"{self._network} computes something else on other data than on the example, so what its units hold "
                "cannot be told; use a score of weights or gradients, such as magnitude or taylor"
            )
        return self._handler.product(product, func, args, kwargs)


def tensors_of(args: Any, kwargs: Any) -> list[Tensor]:
    """Returns the tensors among an operator's arguments, in order."""
    return [item for item in tree_iter((args, kwargs)) if isinstance(item, Tensor)]


def held_units(groups: Sequence[Group], trace: Trace, visit: Visit) -> Handler:
    """Returns a handler that shows what units hold where a product sums over them.

    Of a group that no product sums over, it shows what products make of it.
    """
    places: dict[tuple[int, int], list[tuple[Group, int, Tensor]]] = {}
    for group in groups:
        found = [
            (index, place, dim, units)
            for index, product in enumerate(trace.products)
            if not holds(product.output, group.axis)
            for place, axes in enumerate(product.inputs)
            if product.fed[place]
            for dim, axis in enumerate(axes)
            for units in axis.units(group.axis)
        ] or [
            (index, -1, dim, units)
            for index, product in enumerate(trace.products)
            if any(product.fed)
            for dim, axis in enumerate(product.output)
            for units in axis.units(group.axis)
        ]
        for index, place, dim, units in found:
            places.setdefault((index, place), []).append((group, dim, units))
    return _Held(trace.products, places, visit)


class _Held(Handler):
    def __init__(
        self,
        products: Sequence[Product],
        places: dict[tuple[int, int], list[tuple[Group, int, Tensor]]],
        visit: Visit,
    ) -> None:
        self._index = {id(product): index for index, product in enumerate(products)}
        self._places, self._visit = places, visit

    def product(self, product: Product, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Visits the groups that lie along what it multiplies, or what it makes."""
        index = self._index[id(product)]
        for place, tensor in enumerate(tensors_of(args, kwargs)):
            self._show(product, tensor, index, place)
        result = func(*args, **kwargs)
        self._show(product, result, index, -1)
        return result

    def _show(self, product: Product, tensor: Tensor, index: int, place: int) -> None:
        for group, dim, units in self._places.get((index, place), ()):
            if tensor.shape[dim] == len(units):
                values = of_units(tensor, dim, units, group.size, apart="convolution" in product.name and dim == 1)
                self._visit(group, values)


def holds(axes: Sequence[Axis], leaf: Axis) -> bool:
    """Says whether any of some axes has a leaf in it."""
    return any(found is leaf for axis in axes for found in axis.leaves())


def of_units(tensor: Tensor, dim: int, units: Tensor, size: int, *, apart: bool) -> Tensor:
    """Returns what each unit holds, (items, size, samples): one item, or one for each position of dimension 0.

    Args:
        tensor: What is seen.
        dim: Its dimension along which the units lie.
        units: The unit of each position, -1 for none; every unit has as many.
        size: How many units.
        apart: Whether dimension 0 counts items.
    """
    order = units.argsort(stable=True)[int((units < 0).sum()) :]
    values = tensor.detach().index_select(dim, order.to(tensor.device))
    if not apart:
        return values.movedim(dim, 0).reshape(1, size, -1)
    return values.movedim(dim, 1).reshape(len(values), size, -1)
