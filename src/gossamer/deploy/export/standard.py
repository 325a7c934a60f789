"""Traces a network with standard operators only, for formats that do not know this library's own.

Each operator is replaced by its pure-torch reference while the program is traced. Its kernels want the entries of a
matrix sorted by row; a scatter does not, and other formats sort slowly. So the edges of a graph stay in the order they
come in: `sort_coordinates` gives row pointers, whose differences are the degrees, and an order that changes nothing,
and wherever rows would be read off the pointers, the unsorted ones are put in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gossamer.graph.csr import SORT_COORDINATES
from gossamer.kernels.library import REFERENCES


class StandardOperators(TorchFunctionMode):
    """A mode, `with StandardOperators(): ...`, for one trace."""

    def __init__(self) -> None:
        super().__init__()
        # By identity: row pointers and their differences, each with the rows that they stand for. The tensors are
        # held, so that none of their identities is given to another one.
        self._pointers: dict[int, tuple[Tensor, Tensor]] = {}
        self._counts: dict[int, tuple[Tensor, Tensor]] = {}
        self._orders: dict[int, Tensor] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs `func`, or what stands for it."""
        del types
        if func in REFERENCES:
            with self:  # references call further operators of this library, and read rows
                return self._unsorted(*args) if func is SORT_COORDINATES else REFERENCES[func](*args)
        first = id(args[0]) if args else 0
        if first in self._pointers and func in {Tensor.to, Tensor.contiguous}:
            return args[0]  # int64 and contiguous as it is
        if first in self._counts and func is torch.repeat_interleave:
            return self._counts[first][1]
        if func is Tensor.__getitem__ and isinstance(args[1], Tensor):
            if id(args[1]) in self._orders:
                return args[0]
            if args[1].dtype is torch.int32:  # which ONNX's operator for this does not take
                return func(args[0], args[1].long())
        out = func(*args, **(kwargs or {}))
        if first in self._pointers and func is Tensor.diff:
            self._counts[id(out)] = (out, self._pointers[first][1])
        return out

    def _unsorted(self, row: Tensor, column: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        del column, columns
        row = row.long()
        counts = row.new_zeros(rows).index_add(0, row, torch.ones_like(row))
        pointers = torch.cat([row.new_zeros(1), counts.cumsum(0)])
        self._pointers[id(pointers)] = (pointers, row)
        order = torch.arange(row.shape[0], device=row.device)
        self._orders[id(order)] = order
        return pointers, order
