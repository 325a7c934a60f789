"""Kernel patterns: every 3×3 kernel keeps five weights, in one of a few shapes.

Zeros inside a kernel cost little accuracy, and with few shapes a compiler can unroll each of them: the idea of
Ma et al., "PCONV: the missing but desirable sparsity in DNN weight pruning for real-time execution on mobile
devices", AAAI 2020. The code of Gurevin et al., IJCAI 2021 (`slr`), takes 13 shapes of four zeros and gives
each kernel the one that leaves the largest norm. Ours: 14 shapes that are closed under rotation and reflection.
They keep the centre and four of the ring around it: four neighbours in a row (8), two opposite pairs of
neighbours (4), the edges' middles, and the corners.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.errors import SettingError
from gossamer.prune.granularity import Granularity

_RING = (0, 1, 2, 5, 8, 7, 6, 3)  # places of a 3×3 kernel around its centre, clockwise
_KEPT = 5


@functools.cache
def kernel_patterns() -> Tensor:
    """Returns the patterns, (14, 9) bool, True = keep; places are (row, column), the column running fastest."""
    runs = [(i, i + 1, i + 2, i + 3) for i in range(8)]
    pairs = [(i, i + 1, i + 4, i + 5) for i in range(4)]
    patterns = torch.zeros(14, 9, dtype=torch.bool)
    patterns[:, 4] = True
    for pattern, places in zip(patterns, [*runs, *pairs, (1, 3, 5, 7), (0, 2, 4, 6)], strict=True):
        pattern[[_RING[place % 8] for place in places]] = True
    return patterns


@dataclass(frozen=True, kw_only=True)
class Patterns(Granularity):
    """Five weights of each 3×3 kernel, in the pattern with the highest sum of scores; other layers stay dense.

    The sparsity of the layers it prunes is 4/9 and no other. On the way there (a gradual schedule) a kernel keeps
    its pattern and the best of the rest.
    """

    name = "patterns"
    sets_density = True

    def suits(self, shape: tuple[int, ...]) -> bool:
        """Says whether it is the weight of a convolution with 3×3 kernels."""
        return shape[2:] == (3, 3)

    def check(self, sparsity: float) -> None:
        """Refuses any sparsity but 4/9, to two digits."""
        if not math.isclose(sparsity, 4 / 9, abs_tol=0.005):
            raise SettingError(
                f"patterns: sparsity is {sparsity:g}; keeping five weights of nine is sparsity {4 / 9:.4f} and no "
                "other, so ask for 0.4444, or choose granularity 'single-weights'"
            )

    def sizes(self, rows: int, columns: int) -> Tensor:
        """Returns ones, (R·C,)."""
        return torch.ones(rows * columns, dtype=torch.int64)

    def budget(self, rows: int, columns: int, sparsity: float) -> int:
        """Returns five a kernel, or, of less than the full sparsity, ceil(9 · (1 − sparsity)) a kernel."""
        some = math.ceil(9 * (1.0 - sparsity) - 0.05)  # 4/9 comes in a few digits only
        return rows * (columns // 9) * max(_KEPT, some)

    def pool(self, scores: Tensor) -> Tensor:
        """Returns, (R·C,): 0 in the pattern, −rank among the other weights of the kernel outside, from 1 = best."""
        kernels = scores.reshape(-1, 9)
        patterns = kernel_patterns().to(scores.device)
        inside = patterns[(kernels @ patterns.to(scores.dtype).T).argmax(1)]
        order = kernels.masked_fill(inside, math.inf).argsort(dim=1, descending=True, stable=True)
        rank = order.argsort(dim=1) - (_KEPT - 1)
        return -rank.clamp(min=0).flatten().to(scores.dtype)

    def expand(self, groups: Tensor, rows: int, columns: int) -> Tensor:
        """Returns the groups as (R, C)."""
        return groups.view(rows, columns)

    def active(self, mask: Tensor) -> Tensor:
        """Returns the mask as (R·C,)."""
        return mask.flatten()
