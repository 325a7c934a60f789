"""Convolutions whose filters are transformations of a few: what `crelu`, `multi_bias` and `rotated` have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gossamer.nn.sharing import Transferred
from gossamer.settings import bounded
from gossamer.share.sharing import Sharing


@dataclass(frozen=True, kw_only=True)
class TransferredFilters(Sharing):
    """Ties the filters of convolutions to transformations of others; there is no knob, as these fix the size."""

    name = "transferred-filters"
    by: Literal["negate", "same", "turn", "flip", "turn and flip"] = "negate"
    copies: int = bounded(2, ge=2, le=256)  # of a filter, by "same"; the others have as many as there are

    def __post_init__(self) -> None:
        """Checks that transformations and copies fit as well as the ranges."""
        super().__post_init__()
        Transferred(by=self.by, copies=self.copies)

    def form(self, shape: tuple[int, ...], seed: int) -> Transferred | None:
        """Returns the form; none for layers that are no convolution, or whose filters cannot be turned."""
        del seed
        form = Transferred(by=self.by, copies=self.copies)
        return form if form.suits(shape) else None
