"""`gossamer doctor`: what this installation has, and what it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gossamer import units

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Shows what this installation has: native kernels, threads, data folders and optional libraries.

    Examples:
      gossamer doctor
    """

    def run(self, console: Console) -> dict[str, Any]:
        """Prints one line a fact and returns them."""
        from rich.table import Table
        from rich.text import Text

        import gossamer
        from gossamer import machine
        from gossamer.kernels import native
        from gossamer.tasks import locate

        here = machine.describe()
        available = native.available()
        folders = [{"path": str(path), "exists": path.is_dir()} for path in locate.folders()]
        extras = {name: absent(needed) for name, needed in extra_requirements().items()}
        facts = {
            "gossamer": f"{gossamer.__version__} in {Path(gossamer.__file__).parent}",
            "python": here["python"],
            "torch": here["torch"],
            "native kernels": f"yes, {native.isa()}" if available else f"no: {native.why_unavailable()}",
            "processor": f"{here['processor']}, {here['cores']} cores",
            "threads": str(here["threads"]),
            "memory": units.count(here["memory_bytes"], "B"),
            "accelerator": here.get("accelerator") or "none",
            "GOSSAMER_DATA": os.environ.get("GOSSAMER_DATA") or "not set",
            "data folders": ", ".join(f"{f['path']}{'' if f['exists'] else ' (not there)'}" for f in folders),
            **{f"extra {name}": f"lacks {', '.join(lack)}" if lack else "yes" for name, lack in extras.items()},
        }
        table = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            table.add_row(name, Text(value))
        console.print(table)
        return {
            "gossamer": gossamer.__version__,
            "native": available,
            "why_not_native": native.why_unavailable() or None,
            "machine": here,
            "folders": folders,
            "extras": {name: {"installed": not lack, "lacks": lack} for name, lack in extras.items()},
        }


def extra_requirements() -> dict[str, list[str]]:
    """Returns the distributions that each extra of the installed package needs."""
    found: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("gossamer") or []:
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra and name and extra[1] != "dev":
            found.setdefault(extra[1], []).append(name[0])
    return found


def absent(distributions: list[str]) -> list[str]:
    """Returns those distributions that are not installed."""
    installed = {(found.metadata["Name"] or "").lower() for found in importlib.metadata.distributions()}
    return [name for name in distributions if name.lower() not in installed]
