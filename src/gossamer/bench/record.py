"""The record of a benchmark: rows, limits, the machine and the versions, as JSON and as a page."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gossamer import machine
from gossamer.bench.limits import Limits
from gossamer.bench.run import Row
from gossamer.errors import FileError
from gossamer.files import read_json, write_json

FORMAT = 1
_PEERS = ("torch", "torch_geometric", "torch_sparse", "gensim")


def record(rows: Sequence[Row], limits: Iterable[Limits], *, full: bool) -> dict[str, Any]:
    """Returns rows with everything that they depend on, as a JSON object."""
    return {
        "format": FORMAT,
        "kind": "kernels",
        "scale": "full" if full else "quick",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": {name: version for name in _PEERS if (version := _version(name))},
        "limits": [
            {
                "threads": limit.threads,
                "read_gb_per_second": round(limit.bytes_per_second / 1e9, 1),
                "gflop_per_second": round(limit.flops_per_second / 1e9, 1),
            }
            for limit in limits
        ],
        "rows": [row.to_json() for row in rows],
    }


def save(value: dict[str, Any], folder: str | Path) -> list[Path]:
    """Writes one file a family, `folder/<family>.json`, and returns the paths.

    Raises:
        FileError: A file could not be written.
    """
    families = dict.fromkeys(row["family"] for row in value["rows"])
    return [
        write_json(
            Path(folder) / f"{family}.json",
            {**value, "rows": [row for row in value["rows"] if row["family"] == family]},
        )
        for family in families
    ]


def load(folder: str | Path) -> list[dict[str, Any]]:
    """Reads the records of a folder, by name of their family.

    Raises:
        FileError: A JSON file there is not the record of a benchmark.
    """
    found = []
    for path in sorted(Path(folder).glob("*.json")):
        value = read_json(path)
        if not isinstance(value, dict) or value.get("format") != FORMAT or value.get("kind") != "kernels":
            raise FileError(f"{path}: is not the record of `gossamer bench kernels` (format {FORMAT}); remove it")
        found.append(value)
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
