from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gossamer.errors import DataError
from gossamer.report import frontier_svg
from gossamer.report.frontier import draw
from gossamer.report.source import read
from tests.report.fixture import run

NAME = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_whole_xml_with_a_mark_a_point(tmp_path: Path) -> None:
    root = ElementTree.parse(frontier_svg(run(), tmp_path / "frontier.svg")).getroot()
    assert root.tag == f"{NAME}svg"
    assert len(marks(root)) == len(read(run()).points())
    assert "var(" not in ElementTree.tostring(root, encoding="unicode")


def marks(picture: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """Returns the marks by the label of their point."""
    found = [g for g in picture.iter(f"{NAME}g") if "mark" in g.attrib.get("class", "").split()]
    return {str(g.findtext(f"{NAME}title")).partition(":")[0]: g for g in found}


def place(text: str) -> tuple[float, float]:
    x, y = text.removeprefix("translate(").removesuffix(")").split()
    return float(x), float(y)


def test_better_is_higher_and_smaller_is_further_left(tmp_path: Path) -> None:
    root = ElementTree.parse(frontier_svg(run(), tmp_path / "frontier.svg")).getroot()
    places = {label: place(mark.attrib["transform"]) for label, mark in marks(root).items()}
    assert places["rigl 98 %"][0] < places["rigl 50 %"][0] < places["dense"][0]
    assert places["rigl 50 %"][1] < places["snip 98 %"][1]  # y grows downwards


def test_every_mark_is_inside_the_picture(tmp_path: Path) -> None:
    root = ElementTree.parse(frontier_svg(run(), tmp_path / "frontier.svg", cost="latency_ms")).getroot()
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for mark in marks(root).values():
        x, y = place(mark.attrib["transform"])
        assert 0 < x < width
        assert 0 < y < height


def test_the_other_layout_is_linear_in_the_cost_and_the_first_in_its_logarithm() -> None:
    made = read(run())
    axis = made.axes[0]
    drawn = draw(made, axis, width=960, height=480).replace(" data-layout", ' data-layout=""')
    root = ElementTree.fromstring(drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    sizes = {point.label: point.costs["bytes"].mean for point in made.points()}
    found = {
        label: (place(mark.attrib["transform"]), place(mark.attrib.get("data-other", mark.attrib["transform"])))
        for label, mark in marks(root).items()
    }
    labels = ["rigl 98 %", "rigl 90 %", "rigl 50 %", "dense"]
    logs = [math.log(sizes[label]) for label in labels]
    for values, xs in (
        (logs, [found[n][0][0] for n in labels]),
        ([sizes[n] for n in labels], [found[n][1][0] for n in labels]),
    ):
        shares = [(x - xs[0]) / (xs[-1] - xs[0]) for x in xs]
        expected = [(v - values[0]) / (values[-1] - values[0]) for v in values]
        assert shares == pytest.approx(expected, abs=1e-3)
    assert all(first[1] == other[1] for first, other in found.values()), "quality stays where it is"


def test_whiskers_span_the_interval_and_beaten_marks_say_so(tmp_path: Path) -> None:
    made = read(run())
    root = ElementTree.parse(frontier_svg(made, tmp_path / "frontier.svg")).getroot()
    points = {point.label: point for point in made.points()}
    kept = [point.label for point in made.pareto("bytes")]
    drawn = marks(root)
    assert drawn.keys() == points.keys()
    for label, mark in drawn.items():
        title = str(mark.findtext(f"{NAME}title"))
        assert ("beaten beyond the noise" in title) == ("beaten" in mark.attrib["class"].split()) == (label not in kept)
    pixels = {}
    for label in ("rigl 90 %", "snip 98 %"):
        whisker = next(p.attrib["d"] for p in drawn[label] if p.attrib.get("class") == "whisker")
        low, high = map(float, re.findall(r"-?[\d.]+", whisker)[1:3])
        pixels[label] = (low - high) / 2 / (points[label].test.half_width() or 1)
    assert pixels["rigl 90 %"] == pytest.approx(pixels["snip 98 %"], rel=0.02)


def test_an_unknown_cost_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'latency_ms'"):
        frontier_svg(run(), tmp_path / "frontier.svg", cost="latency")
    assert not list(tmp_path.iterdir())
