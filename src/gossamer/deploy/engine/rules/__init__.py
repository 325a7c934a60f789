"""How operators of ATen, and of this library, become steps: one table, filled by the modules of this package."""

from gossamer.deploy.engine.rules import (
    choices,
    elementwise,
    images,
    indices,
    layers,
    neighbours,
    recurrent,
    reductions,
    shapes,
)
from gossamer.deploy.engine.rules.table import RULES

__all__ = [
    "RULES",
    "choices",
    "elementwise",
    "images",
    "indices",
    "layers",
    "neighbours",
    "recurrent",
    "reductions",
    "shapes",
]
