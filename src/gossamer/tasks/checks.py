"""Refuses data and model outputs that do not fit together, before any time is spent on them.

Every message says how many entries are wrong, where the first one is, what was expected, and what to do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.errors import DataError, ModelError, SettingError
from gossamer.graph import CSR
from gossamer.settings import describe, within


def check_setting(name: str, value: float, **bounds: float) -> None:
    """Checks a number against bounds `ge`, `gt`, `le`, `lt`.

    Raises:
        SettingError: It lies outside; the range is named.
    """
    if not within(value, bounds):
        raise SettingError(f"{name} is {value!r}; expected a number {describe(bounds)}")


def check_features(x: object, rows: int, *, name: str = "features") -> None:
    """Checks node features: (rows, columns) float, one row a node, every value finite.

    Raises:
        DataError: Not so; the first bad node and column are named.
    """
    if not isinstance(x, Tensor | CSR):
        raise DataError(f"{name}: found {type(x).__name__}, expected a Tensor or CSR of shape ({rows}, columns)")
    if len(x.shape) != 2 or x.shape[1] == 0:
        raise DataError(f"{name}: found shape {tuple(x.shape)}, expected ({rows}, columns) with at least one column")
    if x.shape[0] != rows:
        raise DataError(
            f"{name}: found {x.shape[0]} rows for {rows} nodes; give one row a node (is num_nodes set right?)"
        )
    values = x if isinstance(x, Tensor) else x.values
    if values is None:
        return
    if not values.is_floating_point():
        raise DataError(f"{name}: found {values.dtype}, expected floating point; convert with x.float()")
    bad = ~torch.isfinite(values)
    count = int(bad.sum())
    if count:
        first = int(bad.flatten().nonzero()[0])
        if isinstance(x, Tensor):
            node, column = divmod(first, x.shape[1])
        else:
            node = int(torch.searchsorted(x.indptr, torch.tensor(first, device=x.indptr.device), right=True)) - 1
            column = int(x.indices[first])
        raise DataError(
            f"{name}: {count} values are NaN or infinite, the first at node {node}, column {column};"
            f" remove or replace them"
        )


def check_labels(y: object, rows: int, *, classes: int | None = None, used: Tensor | None = None) -> int:
    """Checks class labels and returns the number of classes.

    Args:
        y: (rows,) integers, 0..classes-1.
        rows: How many labels there must be.
        classes: How many classes; None takes the largest label + 1.
        used: (rows,) boolean; labels outside it are not looked at (data sets write -1 for "unknown").

    Raises:
        DataError: A wrong shape or type, or a label out of range; the first such row is named.
    """
    if not isinstance(y, Tensor) or y.shape != (rows,) or y.is_floating_point() or y.dtype == torch.bool:
        found = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise DataError(f"labels: found {found}, expected integers of shape ({rows},), one class a row")
    seen = y if used is None else y[used]
    if not len(seen):
        raise DataError("labels: no row is used by any split; expected at least one in the training split")
    if classes is None:
        classes = max(int(seen.max()) + 1, 1)
    bad = (y < 0) | (y >= classes)
    if used is not None:
        bad &= used
    if bad.any():
        row = int(bad.nonzero()[0])
        raise DataError(
            f"labels: {int(bad.sum())} are out of range, the first at row {row} with value {int(y[row])};"
            f" expected 0..{classes - 1}; renumber the classes from 0 or leave these rows out of every split"
        )
    return classes


def check_masks(masks: dict[str, Tensor], rows: int) -> None:
    """Checks split masks: (rows,) boolean each, a training split that is not empty, no row in two splits.

    Raises:
        DataError: Not so; the split and the first shared row are named.
    """
    for name, mask in masks.items():
        if mask.dtype != torch.bool or mask.shape != (rows,):
            raise DataError(
                f"{name} mask: found {mask.dtype} of shape {tuple(mask.shape)}, expected bool of shape ({rows},)"
            )
    if not masks["train"].any():
        raise DataError("train mask: no row is selected, expected at least one; a network cannot learn from nothing")
    names = list(masks)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = masks[first] & masks[second]
            if both.any():
                raise DataError(
                    f"{int(both.sum())} rows are in both the {first} and the {second} split, the first is row"
                    f" {int(both.nonzero()[0])}; splits must not share rows, or quality would be overstated"
                )


def check_output(output: object, shape: tuple[int, int | None], *, rows: str, columns: str, hint: str) -> Tensor:
    """Returns the model's output if it is a tensor of `shape`.

    Args:
        output: What the model returned.
        shape: (rows, columns) expected; None for any number of columns.
        rows: What a row stands for, in one word, for the message.
        columns: What a column stands for.
        hint: What to change if the shape is another.

    Raises:
        ModelError: Anything else came back.
    """
    if (
        isinstance(output, Tensor)
        and output.dim() == 2
        and output.shape[0] == shape[0]
        and shape[1] in (None, output.shape[1])
    ):
        return output
    found = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
    wanted = f"({shape[0]}, {'any' if shape[1] is None else shape[1]})"
    raise ModelError(
        f"the model returned {found}, expected a Tensor of shape {wanted}: one row a {rows},"
        f" one column a {columns}; {hint}"
    )
