from __future__ import annotations

import json
from pathlib import Path

import pytest

from gossamer.errors import DataError, FileError
from gossamer.frontier import Frontier
from gossamer.report.source import read
from tests.report.fixture import run


def test_a_record_a_file_a_folder_and_a_frontier_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(run(seeds=(0,))))
    made = Frontier.from_json(run(seeds=(0,)))
    assert read(made) is made
    assert read(run(seeds=(0,))) == read(tmp_path) == read(tmp_path / "run.json") == made


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a gossamer run"):
        read({"cells": []})
    with pytest.raises(FileError, match=r"nothing\.json"):
        read(tmp_path / "nothing.json")
