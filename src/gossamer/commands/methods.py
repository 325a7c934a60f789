"""`gossamer methods`: what a network can be made smaller with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gossamer.commands.command import MaybeText

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Methods:
    """Lists the methods, with their settings and the paper each follows.

    Examples:
      gossamer methods
      gossamer methods --name rigl
    """

    name: MaybeText = None  # show the settings of this method alone

    def run(self, console: Console) -> dict[str, Any]:
        """Prints the table and returns `{"methods": [...]}`."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        from gossamer.compression import methods
        from gossamer.errors import SettingError, unknown

        known = methods()
        if self.name is not None and self.name not in known:
            raise SettingError(unknown("method", self.name, known))
        shown = [known[self.name]] if self.name else list(known.values())
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in ("method", "what it does", "knob", "paper"):
            table.add_column(title, no_wrap=title == "method")
        for entry in shown:
            table.add_row(Text(entry.name), Text(entry.summary), entry.method.knob, Text(entry.paper))
        console.print(table)
        if any(entry.paper for entry in shown):
            console.print("gossamer papers show ID tells what a paper claims, and whether it holds", highlight=False)
        if self.name:
            settings = shown[0].method.to_json()
            console.print(
                "\n".join(f"  {key} = {value}" for key, value in settings.items() if key != "name"),
                markup=False,
            )
        return {
            "methods": [
                {
                    "name": entry.name,
                    "summary": entry.summary,
                    "knob": entry.method.knob or None,
                    "paper": entry.paper or None,
                    "settings": entry.method.to_json(),
                }
                for entry in shown
            ]
        }
