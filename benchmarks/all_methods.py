"""Writes the page and the picture of a comparison of all methods: docs/cora.md and docs/images/cora.svg.

    gossamer compare --data cora --model gcn --methods all --sparsities 0.9 --seeds 0,1,2,3,4 --out runs/cora
    python -m benchmarks.all_methods runs/cora

Nothing on the page is written by hand; run both again to renew it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gossamer import files, report, units
from gossamer.frontier import Frontier, Point

DOCS = Path(__file__).parents[1] / "docs"
HEAD = ("", "test accuracy", "bytes", "multiply-accumulates", "not beaten")


def row(point: Point, best: list[Point]) -> list[str]:
    half = point.test.half_width()
    costs = [point.costs.get(name) for name in ("bytes", "macs")]
    return [
        point.label,
        f"{100 * point.test.mean:.1f}" + (f" ± {100 * half:.1f}" if half is not None else ""),
        *(units.MISSING if cost is None else units.count(cost.mean) for cost in costs),
        "yes" if point in best else "",
    ]


def page(run: dict[str, Any], frontier: Frontier) -> str:
    best = frontier.pareto("bytes")
    points = sorted(frontier.points(), key=lambda point: -point.quality)
    lines = [
        "# Every method on Cora",
        "",
        "A GCN on the public split of Cora: every registered method at 90 % sparsity, or at its own setting where it "
        "has no knob, over five seeds, as many epochs each, the same optimiser, nothing tuned. Test accuracy in points "
        "with 95 % intervals. The last column marks what no other is shown to beat in validation accuracy and bytes "
        "together. One network and one data set rank no methods.",
        "",
        "![Accuracy against bytes](images/cora.svg)",
        "",
        f"| {' | '.join(HEAD)} |",
        f"| {' | '.join('---' for _ in HEAD)} |",
        *(f"| {' | '.join(row(point, best))} |" for point in points),
        "",
    ]
    failed = {cell["method"]: cell["error"] for cell in run["cells"] if cell["status"] == "failed"}
    if failed:
        lines += ["Not for this network:", "", *(f"- `{name}`: {error}" for name, error in sorted(failed.items())), ""]
    lines += ["Made by two commands, which stand in `benchmarks/all_methods.py`.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the comparison")
    options = parser.parse_args()
    run = json.loads((options.folder / "run.json").read_text())
    files.write_text(DOCS / "cora.md", page(run, Frontier.load(options.folder)))
    report.frontier_svg(run, DOCS / "images" / "cora.svg")


if __name__ == "__main__":
    main()
