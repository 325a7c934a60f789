"""What the tests of sweeps share."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def timeless(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns cells without what differs between two runs of the same: times, and where a sitting began."""
    copied: list[dict[str, Any]] = json.loads(json.dumps(cells))
    for cell in copied:
        cell.pop("seconds")
        cell["history"] |= {"seconds": 0, "resumed_from": None}
        for cost in (cell["cost"], cell["cost_before"]):
            cost.update(dict.fromkeys(key for key in cost if "latency" in key))
    return copied


def started(out: Path, **options: Any) -> subprocess.Popen[str]:
    """Starts the script with these options, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.compression.script", json.dumps({"out": str(out), **options})],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Waits for a script, which must succeed, and returns its cells."""
    told, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    cells: list[dict[str, Any]] = json.loads(told)
    return cells


def wait_for(condition: Callable[[], Any], *, seconds: float = 120.0) -> None:
    """Returns once the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def trainings(out: Path) -> list[str]:
    """Returns the lines of all logs that say which cell began to train in which process."""
    logs = (path.read_text() for path in sorted(out.glob("cells/*/log.txt")))
    return [line for log in logs for line in log.splitlines() if " train: " in line]
