"""Makes neural networks small and fast, graph neural networks first, and shows what that cost.

Names are loaded when they are first used, so `import gossamer` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Budget": "gossamer.cost",
    "Compressed": "gossamer.compression",
    "Compression": "gossamer.compression",
    "Cost": "gossamer.cost",
    "Frontier": "gossamer.frontier",
    "Graph": "gossamer.graph",
    "Method": "gossamer.compression",
    "Training": "gossamer.train",
    "accelerate": "gossamer.deploy",
    "compare": "gossamer.compression",
    "compress": "gossamer.compression",
    "explore": "gossamer.compression",
    "export": "gossamer.deploy",
    "fit": "gossamer.train",
    "load": "gossamer.deploy",
    "load_task": "gossamer.deploy",
    "measure": "gossamer.cost",
    "method": "gossamer.compression",
    "methods": "gossamer.compression",
    "plan": "gossamer.structure",
    "save": "gossamer.deploy",
}

_PACKAGES = (
    "bench",
    "deploy",
    "distill",
    "factorize",
    "frontier",
    "graph",
    "kernels",
    "models",
    "nn",
    "papers",
    "prune",
    "report",
    "share",
    "stream",
    "structure",
    "tasks",
    "train",
)

__all__ = [*sorted(_HOME), "__version__"]

if TYPE_CHECKING:
    from gossamer.compression.compare import compare
    from gossamer.compression.compress import compress
    from gossamer.compression.compressed import Compressed
    from gossamer.compression.exploration.explore import explore
    from gossamer.compression.method import Compression, Method
    from gossamer.compression.registry import method, methods
    from gossamer.cost import Budget, Cost, measure
    from gossamer.deploy.accelerate import accelerate
    from gossamer.deploy.export.export import export
    from gossamer.deploy.store import load, load_task, save
    from gossamer.frontier.frontier import Frontier
    from gossamer.graph.graph import Graph
    from gossamer.structure.plan import plan
    from gossamer.train.fit import fit
    from gossamer.train.training import Training


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"gossamer.{name}")
    raise AttributeError(f"module 'gossamer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_PACKAGES]
