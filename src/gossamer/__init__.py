"""Makes neural networks small and fast, graph neural networks first, and shows what that cost.

Names are loaded when they are first used, so `import gossamer` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Budget": "gossamer.cost",
    "Compressed": "gossamer.compress",
    "Compression": "gossamer.compress",
    "Cost": "gossamer.cost",
    "Frontier": "gossamer.compress",
    "Graph": "gossamer.graph",
    "Method": "gossamer.compress",
    "Training": "gossamer.train",
    "accelerate": "gossamer.deploy",
    "compare": "gossamer.compress",
    "compress": "gossamer.compress",
    "fit": "gossamer.train",
    "load": "gossamer.deploy",
    "measure": "gossamer.cost",
    "method": "gossamer.compress",
    "methods": "gossamer.compress",
    "save": "gossamer.deploy",
}

__all__ = [*sorted(_HOME), "__version__"]

if TYPE_CHECKING:
    from gossamer.compress import (
        Compressed,
        Compression,
        Frontier,
        Method,
        compare,
        compress,
        method,
        methods,
    )
    from gossamer.cost import Budget, Cost, measure
    from gossamer.deploy import accelerate, load, save
    from gossamer.graph import Graph
    from gossamer.train import Training, fit


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'gossamer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
