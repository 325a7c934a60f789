from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from gossamer.errors import DataError
from gossamer.report import frontier_svg
from gossamer.report.summary import summarize
from tests.report.fixture import run

NAME = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_whole_xml_with_a_mark_a_point(tmp_path: Path) -> None:
    root = ElementTree.parse(frontier_svg(run(), tmp_path / "frontier.svg")).getroot()
    assert root.tag == f"{NAME}svg"
    marks = [g for g in root.iter(f"{NAME}g") if "mark" in g.attrib.get("class", "").split()]
    assert len(marks) == len(summarize(run()).points)
    assert "var(" not in ElementTree.tostring(root, encoding="unicode")


def test_better_is_higher_and_smaller_is_further_left(tmp_path: Path) -> None:
    root = ElementTree.parse(frontier_svg(run(), tmp_path / "frontier.svg")).getroot()
    places = {}
    for g in root.iter(f"{NAME}g"):
        if "data-series" in g.attrib:
            shape = next(p for p in g if p.attrib.get("class") == "shape")
            x, y = shape.attrib["transform"].removeprefix("translate(").removesuffix(")").split()
            places[g.attrib["aria-label"].partition(":")[0]] = (float(x), float(y))
    assert places["rigl 98 %"][0] < places["rigl 50 %"][0] < places["dense"][0]
    assert places["rigl 50 %"][1] < places["snip 98 %"][1]  # y grows downwards


def test_every_mark_is_inside_the_picture(tmp_path: Path) -> None:
    root = ElementTree.parse(frontier_svg(run(), tmp_path / "frontier.svg", cost="latency_ms")).getroot()
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for shape in root.iter(f"{NAME}path"):
        if "transform" in shape.attrib:
            x, y = map(float, shape.attrib["transform"].removeprefix("translate(").removesuffix(")").split())
            assert 0 < x < width
            assert 0 < y < height


def test_an_unknown_cost_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'latency_ms'"):
        frontier_svg(run(), tmp_path / "frontier.svg", cost="latency")
    assert not list(tmp_path.iterdir())
