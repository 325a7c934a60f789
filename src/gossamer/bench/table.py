"""Rows of a benchmark as tables: for the terminal, and in Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from gossamer.bench.run import Row

_HEADINGS = ("case", "threads", "ours", "peer", "peer's", "ratio", "middle half", "bar", "of limit")


def table(rows: Sequence[Row], title: str) -> Table:
    """Returns the rows of one family for a terminal: ratios that meet their bar in green, others in red."""
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in _HEADINGS:
        shown.add_column(heading, justify="left" if heading in {"case", "peer"} else "right")
    for row in rows:
        cells = [Text(cell) for cell in _cells(row)]
        cells[5].stylize({True: "green", False: "red", None: ""}[row.met])
        shown.add_row(*cells)
    return shown


def markdown(records: Sequence[dict[str, Any]]) -> str:
    """Returns the page of the documentation that shows the stored records, one section a family."""
    lines = [
        "# Benchmarks of the kernels",
        "",
        "Made from the records in `benchmarks/results/` by `gossamer bench page`. Each row compares our call with",
        "a peer's, called in turns in one process; *ratio* is the peer's median time (or memory) over ours, so above 1",
        "ours is faster, and *middle half* the quartiles of the ratios of single rounds. *Of limit* is how near ours",
        "comes to the time that this machine's memory or arithmetic allows; over 100 % the data stayed in a cache. A",
        "ratio that misses its bar is marked ✗.",
        "",
    ]
    for value in records:
        rows = [Row(**row) for row in value["rows"]]
        here, limits = value["machine"], value["limits"]
        able = "; ".join(
            f"with {limit['threads']} thread{'s' if limit['threads'] > 1 else ''} {limit['read_gb_per_second']:g} GB/s "
            f"read and {limit['gflop_per_second']:g} GFLOP/s"
            for limit in limits
        )
        lines += [
            f"## {rows[0].family}",
            "",
            f"{here['processor']}, {here['cores']} cores, {here['isa']}; torch {here['torch']}; "
            f"{value['created'][:10]}, {value['scale']} run. {able[:1].upper()}{able[1:]}.",
            "",
            "| " + " | ".join(_HEADINGS) + " |",
            "|" + "---|" * len(_HEADINGS),
        ]
        for row in rows:
            cells = list(_cells(row))
            cells[5] += {True: " ✓", False: " ✗", None: ""}[row.met]
            lines.append("| " + " | ".join(cells) + " |")
        notes = dict.fromkeys(f"{row.peer}: {row.note}" for row in rows if row.note)
        lines += ["", *(f"- {note}" for note in notes), *[""] * bool(notes)]
    return "\n".join(lines).rstrip() + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    if row.ours_bytes is not None or row.peer_bytes is not None:
        mine, its = _bytes(row.ours_bytes), _bytes(row.peer_bytes)
    else:
        mine, its = _time(row.ours_ms), _time(row.peer_ms)
    limited = row.limit_ms is not None and row.ours_ms
    return (
        row.case,
        str(row.threads),
        mine,
        row.peer,
        its,
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.ratio_low is None else f"{row.ratio_low:.2f} to {row.ratio_high:.2f}",
        "" if row.bar is None else f"{row.bar:.4g}",
        f"{100 * (row.limit_ms or 0) / (row.ours_ms or 1):.0f} % {row.limit}" if limited else "",
    )


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "not there"
    return f"{1e3 * milliseconds:.3g} µs" if milliseconds < 1 else f"{milliseconds:.3g} ms"


def _bytes(count: int | None) -> str:
    return "not known" if count is None else f"{count / 1e6:.3g} MB"
