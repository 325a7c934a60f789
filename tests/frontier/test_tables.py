from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest

from gossamer.errors import MissingExtraError, SettingError
from gossamer.frontier import Frontier, Table
from tests.frontier.records import cell, cells, frontier

LAYERS = [{"name": "lin", "kind": "Linear", "shape": [2, 3], "parameters": 6, "nonzeros": 3, "sparsity": 0.5}]


@pytest.fixture
def made() -> Frontier:
    broken = cell("bad|one", 0.5, 0, 0, 1) | {"status": "failed", "error": "a\nb", "quality": {}, "cost": None}
    return frontier(cells("dense", [0.8, 0.9], 1000), cells("rigl", [0.7, 0.8], 100, layers=LAYERS), [broken])


def test_points_have_means_and_half_widths(made: Frontier) -> None:
    rows = list(csv.DictReader(io.StringIO(made.table().to_csv())))
    assert [row["method"] for row in rows] == ["dense", "rigl"]
    assert float(rows[1]["test_accuracy"]) == pytest.approx(0.75)
    assert float(rows[1]["test_accuracy_ci95"]) == pytest.approx(12.7062 * 0.1 / 2, abs=1e-4)  # t(0.975, 1) · s / √2
    assert float(rows[1]["bytes"]) == 100
    assert "bytes_ci95" not in rows[0], "bytes are counted"
    assert "latency_ms" not in rows[0], "no cell has one"
    assert [row["seeds"] for row in rows] == ["2", "2"]


def test_cells_are_all_there_failed_ones_too(made: Frontier) -> None:
    table = made.table("cells")
    assert len(table.rows) == 5
    last = dict(zip(table.columns, table.rows[-1], strict=True))
    assert (last["status"], last["error"], last["test_accuracy"], last["bytes"]) == ("failed", "a\nb", None, None)


def test_what_a_latency_was_measured_on_stands_beside_it() -> None:
    made = cells("rigl", [0.7, 0.8], 100)
    for one, where, eager in zip(made, ("engine", "PyTorch"), (3.0, 5.0), strict=True):
        one["cost"] |= {"latency_ms": 1.0, "runs_on": where, "eager_latency_ms": eager}
    found = frontier(made)
    (point,) = found.table().to_dataframe().to_dict("records")
    assert (point["runs_on"], point["eager_latency_ms"]) == ("engine, PyTorch", 4.0)
    assert found.to_dataframe()["runs_on"].tolist() == ["engine", "PyTorch"]
    assert "compiled_latency_ms" not in found.table().columns, "no cell has one"


def test_layers_have_a_row_each(made: Frontier) -> None:
    table = made.table("layers")
    assert [row[table.columns.index("shape")] for row in table.rows] == ["2x3", "2x3"]


def test_a_dataframe_holds_the_same(made: Frontier) -> None:
    frame = made.to_dataframe()
    assert list(frame.columns) == list(made.table("cells").columns)
    assert frame["bytes"].tolist()[:4] == [1000, 1000, 100, 100]
    assert frame.groupby("method")["test_accuracy"].mean()["rigl"] == pytest.approx(0.75)
    assert len(made.to_dataframe("points")) == 2


def test_without_pandas_the_error_names_what_to_install(made: Frontier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"gossamer\[tables\]"):
        made.to_dataframe()


def test_markdown_keeps_one_line_a_row() -> None:
    table = Table(columns=("a|b", "c"), rows=(("x\ny", 1234567.8), (None, 0.123456)))
    assert table.to_markdown() == "| a\\|b | c |\n| --- | --- |\n| x y | 1234568 |\n|  | 0.12346 |\n"


def test_the_suffix_says_the_form(made: Frontier, tmp_path: Path) -> None:
    assert made.table().save(tmp_path / "t.csv").read_text() == made.table().to_csv()
    assert made.table().save(tmp_path / "t.md").read_text() == made.table().to_markdown()
    with pytest.raises(SettingError, match=r"ends in \.md or \.csv"):
        made.table().save(tmp_path / "t.xlsx")
    with pytest.raises(SettingError, match="did you mean 'cells'"):
        made.table("cell")  # type: ignore[arg-type]


def test_an_empty_comparison_has_empty_tables() -> None:
    empty = frontier()
    assert all(empty.table(kind).rows == () for kind in ("points", "cells", "layers"))
