"""Makes one self-contained HTML page of a run: no request leaves it, and it reads without a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gossamer import files, units
from gossamer.report import sections, theme, words
from gossamer.report.markup import Markup, tag
from gossamer.report.summary import Summary, summarize


def write(run: dict[str, Any] | str | Path, out: str | Path) -> Path:
    """Writes the report of a run.

    Args:
        run: A run, or the path of its file or folder.
        out: The page's name if it ends in `.html`, else the folder that gets `report.html`.

    Returns:
        The path of the page.

    Raises:
        DataError: It is not a run.
        FileError: The run could not be read or the page not written.
    """
    out = Path(out)
    out = out if out.suffix == ".html" else out / "report.html"
    return files.write_text(out, page(summarize(run)))


def page(summary: Summary) -> str:
    """Returns the whole page as text."""
    title = f"{summary.run.get('model', 'model')} on {summary.run.get('data', 'data')}"
    made = [
        sections.plots(summary),
        sections.results(summary),
        sections.layers(summary),
        sections.kernels(summary),
        sections.training(summary),
        sections.failures(summary),
        sections.notes(summary),
        sections.provenance(summary),
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · gossamer"),
        tag("style", Markup(theme.page_variables() + theme.CHART + _asset("page.css"))),
    )
    body = tag(
        "body",
        tag("a", "Skip to the results", href="#results", class_="skip"),
        tag("header", _heading(summary, title), class_="top"),
        tag("main", *made),
        tag("div", id="tip", role="status", hidden=True),
        tag("script", Markup(_asset("page.js"))),
    )
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def _heading(summary: Summary, title: str) -> list[Markup]:
    seeds = {cell["seed"] for cell in summary.run["cells"]}
    facts = [
        _plural(len(summary.methods), "method"),
        _plural(len(seeds), "seed"),
        _plural(len(summary.run["cells"]), "cell"),
        *([f"{len(summary.failed)} failed"] if summary.failed else []),
    ]
    button = tag("button", "Dark", type="button", id="theme", aria_label="Switch between light and dark", hidden=True)
    return [
        tag("div", tag("p", "gossamer report", class_="brand"), button, class_="bar"),
        tag("h1", title),
        tag("p", " · ".join(facts), class_="facts"),
        tag("p", words.headline(summary), class_="headline"),
        _tiles(summary),
        tag("p", words.rule(summary), class_="note"),
    ]


def _tiles(summary: Summary) -> Markup:
    """Returns the picked network's figures, each beside the dense one's."""
    point, dense = summary.pick(), summary.baseline
    if point is None or dense is None:
        return Markup("")
    tiles = [
        _tile(
            summary.metric,
            units.quality(summary.metric, point.quality.mean),
            f"dense {units.quality(summary.metric, dense.quality.mean)}",
        )
    ]
    for axis in summary.axes[:3]:
        ratio = summary.ratio(point, axis.key)
        if ratio is not None:
            before = axis.write(dense.costs[axis.key].mean)
            tiles.append(
                _tile(
                    axis.title,
                    axis.write(point.costs[axis.key].mean),
                    f"dense {before}, {words.change(axis, ratio)}",
                )
            )
    return tag("dl", *tiles, class_="tiles")


def _tile(name: str, value: str, beside: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value), tag("dd", beside, class_="beside"))


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
