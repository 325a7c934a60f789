"""Products with a sparse weight of blocks, 16 rows that share their columns, against the dense layer."""

from __future__ import annotations

from collections.abc import Iterator

from gossamer.bench.case import Case, Patience
from gossamer.bench.families.products import products

_BARS = {(0.0, True): 0.95, (0.5, True): 1.9, (0.8, True): 4.2, (0.9, True): 8.0, (0.9, False): 8.0}


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    return products("blocks", _BARS, None, patience)
