"""`gossamer datasets`: the data sets known by name, and where each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = ("graphs", "images", "nodes", "edges", "classes")


@dataclass(frozen=True, kw_only=True)
class Datasets:
    """Lists the data sets, what they hold, and where each is or would be looked for.

    Files are looked for in the folder that GOSSAMER_DATA names, then in the cache, then downloaded where
    there is a public place for them.

    Examples:
      gossamer datasets
    """

    def run(self, console: Console) -> dict[str, Any]:
        """Prints the table and returns `{"datasets": [...]}`."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        from gossamer import units
        from gossamer.tasks import datasets

        found = datasets.describe()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in ("data set", "task", "what", "size", "here"):
            table.add_column(title, no_wrap=title in {"data set", "here"})
        for entry in found:
            sizes = ", ".join(f"{units.count(value)} {name}" for name, value in entry.sizes.items() if name in _SHOWN)
            here = "yes" if entry.present else "downloads" if entry.download else "no"
            table.add_row(Text(entry.name), entry.kind, Text(entry.summary), sizes, here)
        console.print(table)
        absent = next((entry for entry in found if not entry.present), None)
        if absent is not None:
            example = f"{absent.name} is looked for as {absent.where}"
            console.print(f"{example}; GOSSAMER_DATA may name another folder", markup=False, soft_wrap=True)
        return {"datasets": [entry.to_json() for entry in found]}
