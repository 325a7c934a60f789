from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.compression.frontier import Frontier
from gossamer.cost import Budget
from gossamer.errors import FileError, SettingError

RUN = {"format": 1, "kind": "comparison", "metric": "accuracy", "higher_is_better": True}


def cell(method: str, sparsity: float, seed: int, quality: float, size: int, **changes: Any) -> dict[str, Any]:
    cost = {"parameters": size, "nonzeros": size, "bytes": size, "macs": size, "latency_ms": None}
    return {
        "id": f"{method}-{sparsity}-{seed}",
        "status": "done",
        "method": method,
        "sparsity": sparsity,
        "seed": seed,
        "quality": {"accuracy": quality},
        "validation": {"accuracy": quality},
        "cost": cost,
        **changes,
    }


def test_points_are_means_and_sample_deviations_over_seeds() -> None:
    frontier = Frontier(
        run=RUN,
        cells=(
            cell("rigl", 0.9, 0, 0.8, 100),
            cell("rigl", 0.9, 1, 0.9, 120),
            cell("rigl", 0.9, 2, 0.7, 110, status="failed", error="out of memory"),
        ),
    )
    (point,) = frontier.points()
    assert point.seeds == (0, 1)
    assert point.quality == pytest.approx(0.85)
    assert point.quality_spread == pytest.approx(0.0707107)
    assert point.cost["bytes"] == 110
    assert "latency_ms" not in point.cost


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=12), st.booleans())
def test_pareto_agrees_with_the_definition(figures: list[tuple[int, int]], higher: bool) -> None:
    cells = tuple(cell(f"m{i}", 0.5, 0, float(q), size) for i, (size, q) in enumerate(figures))
    frontier = Frontier(run=RUN | {"higher_is_better": higher}, cells=cells)
    sign = 1 if higher else -1

    def beaten(size: int, quality: int) -> bool:
        return any(
            s <= size and sign * q >= sign * quality and (s < size or sign * q > sign * quality) for s, q in figures
        )

    expected = {figure for figure in figures if not beaten(*figure)}
    found = [(int(point.cost["bytes"]), int(point.quality)) for point in frontier.pareto("bytes")]
    assert set(found) == expected
    assert len(found) == len(expected), "points that tie in both are shown once"


def test_best_stays_within_the_budget_and_names_the_nearest_miss() -> None:
    frontier = Frontier(run=RUN, cells=(cell("a", 0.0, 0, 0.9, 1000), cell("b", 0.9, 0, 0.8, 100)))
    assert frontier.best().method == "a"
    assert frontier.best(Budget.parse("bytes<=500")).method == "b"
    with pytest.raises(SettingError, match=r"nearest is b at 0\.9"):
        frontier.best(Budget.parse("bytes<=50"))


def test_choices_look_at_validation_not_at_test() -> None:
    lucky = cell("lucky", 0.5, 0, 0.99, 100, validation={"accuracy": 0.5})
    frontier = Frontier(run=RUN, cells=(lucky, cell("sound", 0.5, 0, 0.9, 100)))
    assert frontier.best().method == "sound"
    assert [point.method for point in frontier.pareto("bytes")] == ["sound"]


def test_saves_and_loads(tmp_path: Path) -> None:
    frontier = Frontier(run=RUN, cells=(cell("a", 0.0, 0, 0.9, 1000),))
    assert Frontier.load(frontier.save(tmp_path / "run.json")) == frontier
    (tmp_path / "foreign.json").write_text("[1, 2]")
    with pytest.raises(FileError, match="not a gossamer run"):
        Frontier.load(tmp_path / "foreign.json")
    with pytest.raises(SettingError, match="did you mean 'bytes'"):
        frontier.pareto("byte")
    with pytest.raises(SettingError, match="no finished cell"):
        Frontier(run=RUN).best()
