"""Products with a sparse weight of single entries (CSR), against the dense layer and torch.sparse."""

from __future__ import annotations

from collections.abc import Iterator

from gossamer.bench.case import Case, Patience
from gossamer.bench.families.products import products


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    return products("csr", {(0.9, True): 4.8, (0.95, True): 10.0}, 2.5, patience)
