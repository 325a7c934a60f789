"""What is removed together.

Single weights lose the least accuracy; larger pieces run faster. Every granularity sees a weight as a matrix
(R, C) with one row an output, divides it into groups, and turns a choice of groups back into a mask. A group
is worth the mean of its weights' scores.

| granularity | group | groups of (R, C) |
|---|---|---|
| `SingleWeights` | one weight | R·C |
| `SIMDBlocks` | one column of `rows` consecutive rows | ceil(R / rows)·C |
| `NM` | one weight, at most n in m consecutive columns | R·C |
| `Filters` | one row, with its bias | R |
| `Columns` | `width` consecutive columns of all rows | ceil(C / width) |
| `Vectors` | `width` consecutive columns of one row | R·ceil(C / width) |
| `Kernels` | all weights from one input channel to one output: vectors as wide as a kernel | R·C_in |
| `Channels` | all weights on one input channel: columns as wide as a kernel | C_in |
| `Patterns` | one weight, in one of 14 patterns of five in each 3×3 kernel (`prune.patterns`) | R·C |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gossamer.errors import SettingError
from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class Granularity(Settings):
    """A family: what is removed together. Masks and scores are (R, C), groups (G,)."""

    removes_outputs: ClassVar[bool] = False  # whole rows go, and their biases with them
    sets_density: ClassVar[bool] = False  # the pattern says how much each layer keeps, no allocation does
    regrows: ClassVar[bool] = False  # a group that was removed can come back from zero

    def of(self, shape: tuple[int, ...]) -> Granularity:
        """Returns what is removed together from a weight of this shape, (R, ...); ask it for all below."""
        del shape
        return self

    def suits(self, shape: tuple[int, ...]) -> bool:
        """Says whether a weight of this shape can be pruned so; others stay as they are."""
        del shape
        return True

    def sizes(self, rows: int, columns: int) -> Tensor:
        """Returns the number of weights in each group, (G,) int64."""
        raise TypeError(f"{type(self).__name__} is abstract: define sizes()")

    def pool(self, scores: Tensor) -> Tensor:
        """Returns one score a group, (G,), from one a weight, (R, C)."""
        raise TypeError(f"{type(self).__name__} is abstract: define pool()")

    def expand(self, groups: Tensor, rows: int, columns: int) -> Tensor:
        """Returns the mask (R, C) that keeps these groups, (G,) bool."""
        raise TypeError(f"{type(self).__name__} is abstract: define expand()")

    def active(self, mask: Tensor) -> Tensor:
        """Returns which groups a mask (R, C) keeps, (G,) bool."""
        raise TypeError(f"{type(self).__name__} is abstract: define active()")

    def budget(self, rows: int, columns: int, sparsity: float) -> int:
        """Returns how many weights the pattern keeps in a layer; only asked where `sets_density`."""
        raise TypeError(f"{type(self).__name__} keeps as many weights as an allocation says")

    def check(self, sparsity: float) -> None:
        """Refuses a sparsity that the pattern cannot have, with a SettingError."""


@dataclass(frozen=True, kw_only=True)
class SingleWeights(Granularity):
    """Each weight by itself."""

    name = "single-weights"
    regrows = True

    def sizes(self, rows: int, columns: int) -> Tensor:
        """Returns ones, (R·C,)."""
        return torch.ones(rows * columns, dtype=torch.int64)

    def pool(self, scores: Tensor) -> Tensor:
        """Returns the scores, (R·C,)."""
        return scores.flatten()

    def expand(self, groups: Tensor, rows: int, columns: int) -> Tensor:
        """Returns the groups as (R, C)."""
        return groups.view(rows, columns)

    def active(self, mask: Tensor) -> Tensor:
        """Returns the mask as (R·C,)."""
        return mask.flatten()


@dataclass(frozen=True, kw_only=True)
class SIMDBlocks(Granularity):
    """One column of consecutive output rows: those rows share the pattern of their zeros.

    One load of an input value then serves a whole vector register of outputs. Where R is no multiple of
    `rows`, the last block has fewer.
    """

    name = "simd-blocks"
    regrows = True
    rows: int = bounded(16, ge=1)  # 16 float32 fill one 512-bit register; the native kernels take 16 and 8

    def sizes(self, rows: int, columns: int) -> Tensor:
        """Returns `self.rows` or what the last block has, (B·C,), blocks in order."""
        return self._heights(rows).repeat_interleave(columns)

    def pool(self, scores: Tensor) -> Tensor:
        """Returns the mean over each block's column, (B·C,)."""
        rows, columns = scores.shape
        heights = self._heights(rows)
        padded = F.pad(scores, (0, 0, 0, len(heights) * self.rows - rows))
        sums = padded.view(len(heights), self.rows, columns).sum(1)
        return (sums / heights.to(scores.device)[:, None]).flatten()

    def expand(self, groups: Tensor, rows: int, columns: int) -> Tensor:
        """Returns each block's pattern, repeated for its rows."""
        return groups.view(-1, columns).repeat_interleave(self.rows, dim=0)[:rows]

    def active(self, mask: Tensor) -> Tensor:
        """Returns the pattern of the first row of each block, which its other rows share."""
        return mask[:: self.rows].flatten()

    def _heights(self, rows: int) -> Tensor:
        return torch.full((math.ceil(rows / self.rows),), self.rows).clamp(max=rows - torch.arange(0, rows, self.rows))


@dataclass(frozen=True, kw_only=True)
class NM(Granularity):
    """At most n weights in every m consecutive columns of a row.

    The sparsity is 1 − n/m and no other. A last piece of r < m columns keeps ceil(r·n/m). On the way there (a
    gradual schedule) each piece keeps ceil(r·(1 − sparsity)). Columns of a convolution are (C_in, kh, kw)
    with kw running fastest, as in the matrix that `unfold` multiplies.
    """

    name = "n-m"
    sets_density = True
    n: int = bounded(2, ge=1)
    m: int = bounded(4, ge=2)

    def __post_init__(self) -> None:
        """Checks n < m as well as the ranges."""
        super().__post_init__()
        if self.n >= self.m:
            raise SettingError(f"n-m: n is {self.n} and m is {self.m}; expected n below m, for example 2 of 4")

    def check(self, sparsity: float) -> None:
        """Refuses any sparsity but 1 − n/m."""
        fixed = 1.0 - self.n / self.m
        if not math.isclose(sparsity, fixed, abs_tol=1e-9):
            raise SettingError(
                f"n-m: sparsity is {sparsity:g}; keeping {self.n} of {self.m} is sparsity {fixed:g} and no "
                "other, so ask for that, change n and m, or choose granularity 'single-weights'"
            )

    def sizes(self, rows: int, columns: int) -> Tensor:
        """Returns ones, (R·C,)."""
        return torch.ones(rows * columns, dtype=torch.int64)

    def budget(self, rows: int, columns: int, sparsity: float) -> int:
        """Returns R · Σ over pieces of ceil(r · (1 − sparsity))."""
        pieces, rest = divmod(columns, self.m)
        return rows * (pieces * self._kept(self.m, sparsity) + self._kept(rest, sparsity))

    def pool(self, scores: Tensor) -> Tensor:
        """Returns −rank / r, (R·C,): rank of a weight in its piece, from 0 = best, over the piece's length.

        The highest of these scores, taken in any number up to `budget`, never break the pattern.
        """
        rows, columns = scores.shape
        pieces = math.ceil(columns / self.m)
        padded = F.pad(scores, (0, pieces * self.m - columns), value=-math.inf).view(rows, pieces, self.m)
        order = padded.argsort(dim=2, descending=True, stable=True)
        rank = order.argsort(dim=2).view(rows, -1)[:, :columns]
        lengths = torch.full((columns,), self.m, device=scores.device)
        lengths[columns - columns % self.m :] = columns % self.m
        return -(rank / lengths).flatten()

    def expand(self, groups: Tensor, rows: int, columns: int) -> Tensor:
        """Returns the groups as (R, C)."""
        return groups.view(rows, columns)

    def active(self, mask: Tensor) -> Tensor:
        """Returns the mask as (R·C,)."""
        return mask.flatten()

    @staticmethod
    def _kept(length: int, sparsity: float) -> int:
        return math.ceil(round(length * (1.0 - sparsity), 6))


@dataclass(frozen=True, kw_only=True)
class Filters(Granularity):
    """Whole rows: all weights of an output and its bias.

    The last layer that a prediction calls keeps all its rows, for they are the network's answers.
    """

    name = "filters"
    removes_outputs = True

    def sizes(self, rows: int, columns: int) -> Tensor:
        """Returns C, (R,)."""
        return torch.full((rows,), columns, dtype=torch.int64)

    def pool(self, scores: Tensor) -> Tensor:
        """Returns the mean of each row, (R,)."""
        return scores.mean(1)

    def expand(self, groups: Tensor, rows: int, columns: int) -> Tensor:
        """Returns each row's fate, repeated for its columns."""
        return groups[:, None].expand(rows, columns)

    def active(self, mask: Tensor) -> Tensor:
        """Returns which rows have any weight, (R,)."""
        return mask.any(1)


@dataclass(frozen=True, kw_only=True)
class Columns(Granularity):
    """Whole columns of the matrix: what all outputs read of one input, so that it need not be gathered.

    Of a convolution that is one place of the kernel on one input channel. Where C is no multiple of `width`,
    the last group has fewer columns.
    """

    name = "columns"
    width: int = bounded(1, ge=1)  # consecutive columns removed together

    def sizes(self, rows: int, columns: int) -> Tensor:
        """Returns R·width, less for the last group, (G,)."""
        return rows * _widths(columns, self.width)

    def pool(self, scores: Tensor) -> Tensor:
        """Returns the mean over each group's columns, (G,)."""
        rows, columns = scores.shape
        widths = _widths(columns, self.width)
        padded = F.pad(scores, (0, len(widths) * self.width - columns))
        return padded.view(rows, -1, self.width).sum((0, 2)) / (rows * widths.to(scores.device))

    def expand(self, groups: Tensor, rows: int, columns: int) -> Tensor:
        """Returns each column's fate, repeated for all rows."""
        return groups.repeat_interleave(self.width)[:columns].expand(rows, columns)

    def active(self, mask: Tensor) -> Tensor:
        """Returns what the first row keeps of each group, (G,)."""
        return mask[0, :: self.width]


@dataclass(frozen=True, kw_only=True)
class Vectors(Granularity):
    """A few consecutive columns of one row. Where C is no multiple of `width`, a row's last vector has fewer."""

    name = "vectors"
    regrows = True
    width: int = bounded(4, ge=1)  # columns in a vector

    def sizes(self, rows: int, columns: int) -> Tensor:
        """Returns `width`, less for the last vector of each row, (G,), row by row."""
        return _widths(columns, self.width).repeat(rows)

    def pool(self, scores: Tensor) -> Tensor:
        """Returns the mean over each vector, (G,)."""
        rows, columns = scores.shape
        widths = _widths(columns, self.width)
        padded = F.pad(scores, (0, len(widths) * self.width - columns))
        return (padded.view(rows, -1, self.width).sum(2) / widths.to(scores.device)).flatten()

    def expand(self, groups: Tensor, rows: int, columns: int) -> Tensor:
        """Returns each vector's fate, repeated for its columns."""
        return groups.view(rows, -1).repeat_interleave(self.width, dim=1)[:, :columns]

    def active(self, mask: Tensor) -> Tensor:
        """Returns what the first column of each vector is."""
        return mask[:, :: self.width].flatten()


@dataclass(frozen=True, kw_only=True)
class Channels(Granularity):
    """All weights on one input channel; of a linear layer, one column."""

    name = "channels"

    def of(self, shape: tuple[int, ...]) -> Granularity:
        """Returns columns as wide as a kernel of this weight."""
        return Columns(width=math.prod(shape[2:]))


@dataclass(frozen=True, kw_only=True)
class Kernels(Granularity):
    """All weights from one input channel to one output; of a linear layer, one weight."""

    name = "kernels"
    regrows = True

    def of(self, shape: tuple[int, ...]) -> Granularity:
        """Returns vectors as wide as a kernel of this weight."""
        return Vectors(width=math.prod(shape[2:]))


def _widths(columns: int, width: int) -> Tensor:
    """Returns how many columns there are in each of the pieces that a row is cut into."""
    starts = torch.arange(0, columns, width)
    return torch.full_like(starts, width).clamp(max=columns - starts)
