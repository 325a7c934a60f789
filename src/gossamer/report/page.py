"""Makes one self-contained HTML page of a run: no request leaves it, and it reads without a script."""

from __future__ import annotations

from pathlib import Path

from gossamer import files, units
from gossamer.frontier.axes import change
from gossamer.frontier.frontier import Frontier
from gossamer.report import theme, words
from gossamer.report.markup import Markup, tag
from gossamer.report.sections import choose, failures, layers, notes, plots, provenance, results, training, weights
from gossamer.report.source import Source, read

_SECTIONS = (choose, plots, results, weights, layers, training, failures, notes, provenance)


def write(run: Source, out: str | Path) -> Path:
    """Writes the report of a run.

    Args:
        run: A comparison, its record, or the path of its file or folder.
        out: The page's name if it ends in `.html`, else the folder that gets `report.html`.

    Returns:
        The path of the page.

    Raises:
        DataError: It is not a run.
        FileError: The run could not be read or the page not written.
    """
    out = Path(out)
    out = out if out.suffix == ".html" else out / "report.html"
    return files.write_text(out, page(read(run)))


def page(frontier: Frontier) -> str:
    """Returns the whole page as text."""
    title = f"{frontier.run.get('model', 'model')} on {frontier.run.get('data', 'data')}"
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
        tag("header", _heading(frontier, title), class_="top"),
        tag("main", *(section.make(frontier) for section in _SECTIONS)),
        tag("div", id="tip", role="status", hidden=True),
        tag("script", Markup(_asset("page.js"))),
    )
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def _heading(frontier: Frontier, title: str) -> list[Markup]:
    seeds = {cell["seed"] for cell in frontier.cells}
    compressed = dict.fromkeys(point.method for point in frontier.compressed)
    facts = [
        _plural(len(compressed), "method"),
        _plural(len(seeds), "seed"),
        _plural(len(frontier.cells), "cell"),
        *([f"{len(frontier.failed)} failed"] if frontier.failed else []),
        *([f"{len(frontier.unmeasured)} not measured yet"] if frontier.unmeasured else []),
    ]
    button = tag("button", "Dark", type="button", id="theme", aria_label="Switch between light and dark", hidden=True)
    return [
        tag("div", tag("p", "gossamer report", class_="brand"), button, class_="bar"),
        tag("h1", title),
        tag("p", " · ".join(facts), class_="facts"),
        tag("p", words.headline(frontier), class_="headline"),
        _tiles(frontier),
    ]


def _tiles(frontier: Frontier) -> Markup:
    """Returns the figures of the smallest network that is level with dense, each beside the dense one's."""
    point, dense = frontier.smallest_level(), frontier.dense
    if point is None or dense is None:
        return Markup("")
    tiles = [
        _tile(
            frontier.metric,
            units.quality(frontier.metric, point.test.mean),
            f"dense {units.quality(frontier.metric, dense.test.mean)}",
        )
    ]
    for axis in frontier.axes[:3]:
        ratio = frontier.ratio(point, axis.key)
        if ratio is not None:
            before = axis.write(dense.costs[axis.key].mean)
            after = axis.write(point.costs[axis.key].mean)
            tiles.append(_tile(axis.title, after, f"dense {before}, {change(axis, ratio)}"))
    return tag("dl", *tiles, class_="tiles")


def _tile(name: str, value: str, beside: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value), tag("dd", beside, class_="beside"))


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
