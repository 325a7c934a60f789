from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.cost import Budget
from gossamer.errors import DataError, FileError, SettingError
from gossamer.frontier import Frontier
from tests.frontier.records import RUN, cell, cells, frontier


def test_points_are_means_and_sample_deviations_over_seeds() -> None:
    made = frontier(
        [
            cell("rigl", 0.9, 0, 0.8, 100),
            cell("rigl", 0.9, 1, 0.9, 120),
            cell("rigl", 0.9, 2, 0.7, 110)
            | {"status": "failed", "error": "out of memory", "quality": {}, "cost": None},
            cell("rigl", 0.9, 3, 0.7, 110, status="trained"),
        ]
    )
    (point,) = made.points()
    assert point.seeds == (0, 1)
    assert point.quality == pytest.approx(0.85)
    assert point.quality_spread == pytest.approx(0.0707107)
    assert point.cost["bytes"] == 110
    assert "latency_ms" not in point.cost
    assert [c["seed"] for c in made.failed] == [2]
    assert [c["seed"] for c in made.unmeasured] == [3]


def test_points_under_a_budget_are_their_own_and_say_what_was_found() -> None:
    made = frontier(
        cells("rigl", [0.8, 0.9], 100),
        [cell("rigl", s, seed, 0.8, 90, budget="bytes<=100k") for seed, s in enumerate((0.86, 0.88))],
        [cell("rigl", 0.97, 0, 0.7, 40, budget="bytes<=50k")],
    )
    assert [p.label for p in made.points()] == [
        "rigl 90 %",
        "rigl bytes<=100k (sparsity 0.87)",
        "rigl bytes<=50k (sparsity 0.97)",
    ]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=12), st.booleans())
def test_pareto_of_means_agrees_with_the_definition(figures: list[tuple[int, int]], higher: bool) -> None:
    made = frontier(*(cells(f"m{i}", [float(q)], size) for i, (size, q) in enumerate(figures)), higher_is_better=higher)
    sign = 1 if higher else -1

    def beaten(size: int, quality: int) -> bool:
        return any(
            s <= size and sign * q >= sign * quality and (s < size or sign * q > sign * quality) for s, q in figures
        )

    expected = {figure for figure in figures if not beaten(*figure)}
    found = [(int(point.cost["bytes"]), int(point.quality)) for point in made.pareto("bytes", confidence=None)]
    assert found == sorted(found)
    assert set(found) == expected
    assert len(found) == len(expected), "points that tie in both are shown once"


def test_pareto_of_several_costs_keeps_what_is_best_in_one() -> None:
    slim = cell("slim", 0.5, 0, 0.8, 100)
    quick = cell("quick", 0.5, 0, 0.8, 200)
    quick["cost"]["macs"] = 50
    made = frontier([slim, quick, cell("neither", 0.5, 0, 0.8, 300)])
    assert [p.method for p in made.pareto("bytes", confidence=None)] == ["slim"]
    assert {p.method for p in made.pareto(["bytes", "macs"], confidence=None)} == {"slim", "quick"}


def test_best_stays_within_the_budget_and_names_the_nearest_miss() -> None:
    made = frontier(cells("dense", [0.9], 1000), cells("b", [0.8], 100))
    assert made.best().method == "dense"
    assert made.best(Budget.parse("bytes<=500")).method == "b"
    with pytest.raises(SettingError, match=r"nearest is b 90 % \(bytes 100 over 50\)"):
        made.best(Budget.parse("bytes<=50"))
    with pytest.raises(SettingError, match="latency_ms, which no network of this comparison has"):
        made.best(Budget.parse("latency_ms<=1"))


def test_choices_look_at_validation_not_at_test() -> None:
    lucky = cell("lucky", 0.5, 0, 0.99, 100, validation={"accuracy": 0.5})
    made = frontier([lucky], cells("sound", [0.9], 100))
    assert made.best().method == "sound"
    assert [point.method for point in made.pareto("bytes", confidence=None)] == ["sound"]


def test_level_with_dense_is_close_and_not_beaten_beyond_the_noise() -> None:
    dense = cells("dense", [0.80, 0.80, 0.80], 1000)
    made = frontier(
        dense,
        cells("close", [0.795, 0.80, 0.799], 300),
        cells("surely-worse", [0.795, 0.795, 0.795], 200),  # within 1 %, but the same loss for every seed
        cells("far", [0.70, 0.86, 0.60], 100),  # too noisy to tell, but 8 points worse on average
    )
    assert [p.method for p in made.compressed if made.level(p)] == ["close"]
    found = made.smallest_level()
    assert found is not None
    assert found.method == "close"
    assert made.ratio(found, "bytes") == pytest.approx(1000 / 300)


def test_a_compressed_network_is_compared_with_what_came_in_on_the_test_split() -> None:
    came_in = {"quality_before": {"accuracy": 0.9}, "cost_before": cell("", 0, 0, 0, 1000)["cost"]}
    made = frontier([cell("rigl", 0.9, 0, 0.88, 100, validation={"accuracy": 0.95}, **came_in)], kind="compression")
    assert made.dense is not None
    assert made.dense.quality == 0.9
    assert [p.method for p in made.compressed] == ["rigl"]
    assert made.best().method == "rigl", "what came in is no choice"
    gap = made.against_dense(made.best(), None)
    assert gap is not None
    assert gap.mean == pytest.approx(-0.02)
    assert "rigl 90 %, a difference of" in str(made.advice())
    assert "only that was measured" in made.advice().rule
    assert frontier(cells("dense", [0.9], 1000), cells("rigl", [0.8], 100)).split == "val"


def test_saves_and_loads_from_the_file_and_from_its_folder(tmp_path: Path) -> None:
    made = frontier(cells("a", [0.9], 1000))
    assert Frontier.load(made.save(tmp_path / "run.json")) == made
    assert Frontier.load(tmp_path) == made
    assert Frontier.load(tmp_path).folder == tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "is not a gossamer run"),
        ('{"cells": [], "format": 1}', "is not a gossamer run"),
        ('{"cells": [], "metric": "m", "format": 2}', "format 2; this version reads format 1"),
        ('{"cells": [3], "metric": "m", "format": 1}', "cell 0 is not a record"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(FileError, match=message) as error:
        Frontier.load(tmp_path)
    assert str(tmp_path / "run.json") in str(error.value)
    with pytest.raises(DataError):
        Frontier.from_json({"cells": 1})


def test_wrong_questions_are_refused() -> None:
    made = frontier(cells("a", [0.9], 1000))
    with pytest.raises(SettingError, match="did you mean 'bytes'"):
        made.pareto("byte")
    with pytest.raises(SettingError, match="above 0 and below 1"):
        frontier(cells("a", [0.9], 1000), cells("b", [0.9], 1000)).pareto("bytes", confidence=95)
    with pytest.raises(SettingError, match="'qualty'; did you mean 'quality'"):
        made.hypervolume("bytes", {"qualty": 0.0, "bytes": 1.0})
    with pytest.raises(SettingError, match="bytes missing"):
        made.hypervolume("bytes", {"quality": 0.0})
    with pytest.raises(SettingError, match="no finished cell"):
        Frontier(run=RUN).best()


def test_reading_and_choosing_needs_no_torch(tmp_path: Path) -> None:
    frontier(cells("dense", [0.9, 0.8], 1000), cells("a", [0.9, 0.8], 100)).save(tmp_path / "run.json")
    code = (
        "import sys; from gossamer.frontier import Frontier; f = Frontier.load(sys.argv[1]);"
        "print(f.advice(), f.pareto(), f.table().to_csv(), f.hypervolume()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)
