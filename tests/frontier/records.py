"""Made-up cells: what a test says of them, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gossamer.frontier import Frontier, Point
from gossamer.frontier.points import group

RUN: dict[str, Any] = {"format": 1, "kind": "comparison", "metric": "accuracy", "higher_is_better": True}


def cell(method: str, sparsity: float, seed: int, quality: float, size: float, **changes: Any) -> dict[str, Any]:
    cost = {"parameters": size, "nonzeros": size, "bytes": size, "macs": size, "latency_ms": None}
    return {
        "id": f"{method}-{sparsity}-{seed}",
        "status": "done",
        "error": None,
        "method": method,
        "sparsity": sparsity,
        "seed": seed,
        "quality": {"accuracy": quality},
        "validation": {"accuracy": quality},
        "cost": cost,
        **changes,
    }


def cells(
    method: str,
    qualities: Sequence[float],
    size: float,
    *,
    latencies: Sequence[float] = (),
    first_seed: int = 0,
    **changes: Any,
) -> list[dict[str, Any]]:
    """Returns one cell a quality, with seeds counted from `first_seed`; sparsity 0.9 but for dense."""
    made = []
    for index, quality in enumerate(qualities):
        one = cell(method, 0.0 if method == "dense" else 0.9, first_seed + index, quality, size, **changes)
        one["cost"] = {**one["cost"], "latency_ms": latencies[index] if latencies else None}
        made.append(one)
    return made


def frontier(*groups: Sequence[dict[str, Any]], **run: Any) -> Frontier:
    return Frontier(run=RUN | run, cells=tuple(one for group in groups for one in group))


def point(qualities: Sequence[float], size: float = 1.0, **changes: Any) -> Point:
    (made,) = group(cells("rigl", qualities, size, **changes), "accuracy")
    return made
