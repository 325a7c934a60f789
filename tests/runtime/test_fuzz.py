"""The file reader under coverage-guided fuzzing and sanitizers; the first run builds it, which takes minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("clang++") is None or shutil.which("cmake") is None, reason="needs clang++ and cmake")
def test_a_short_run_finds_nothing() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "fuzz", "5"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "stat::number_of_executed_units" in done.stderr
