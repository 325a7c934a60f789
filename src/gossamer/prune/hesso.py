"""Units shrink to zero along straight lines, period by period, and are cut out without fine-tuning.

The optimiser of the current library of the OTO papers (Chen et al., arXiv 2312.09411 and before): the importance of a
unit is a sum of five signs with equal weights, and what is redundant is multiplied by (N − t − 1)/(N − t) in step t of
N. It has no strength to choose, and always reaches the sparsity it is asked for.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.dhspg import UnitsToZero
from gossamer.prune.pressing import FiveSigns, PartByPart

HESSO = register(
    "hesso",
    UnitsToZero(redundancy=FiveSigns(), pressing=PartByPart()),
    summary="Shrink redundant units to zero step by step while the network trains, cut them out, tune nothing.",
)
