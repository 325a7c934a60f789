"""How wide the layers of a stack are."""

from __future__ import annotations

from itertools import pairwise

from gossamer.errors import ModelError


def widths(in_features: int, hidden: int, out_features: int, layers: int) -> list[tuple[int, int]]:
    """Returns (input, output) widths of each of `layers` layers; those between are `hidden` wide.

    >>> widths(1433, 16, 7, 2)
    [(1433, 16), (16, 7)]

    Raises:
        ModelError: A width or the number of layers is below 1.
    """
    sizes = {"in_features": in_features, "hidden": hidden, "out_features": out_features, "layers": layers}
    for name, size in sizes.items():
        if size < 1:
            raise ModelError(f"{name} is {size}; expected at least 1")
    return list(pairwise([in_features, *[hidden] * (layers - 1), out_features]))
