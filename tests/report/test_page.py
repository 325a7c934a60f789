from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gossamer import report
from gossamer.frontier import Frontier
from gossamer.report import theme
from tests.report.fixture import cell, run

VOID = {"meta", "input", "br", "link"}


class Outline(HTMLParser):
    """Checks that tags match, and collects what the tests ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data


def parsed(value: dict[str, Any], folder: Path) -> tuple[str, Outline]:
    text = report.write(value, folder).read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert not outline.open
    return text, outline


def test_the_page_is_whole_and_asks_nothing_of_the_network(tmp_path: Path) -> None:
    text, outline = parsed(run(), tmp_path)
    assert not [attributes for _, attributes in outline.tags if {"src", "srcset"} & attributes.keys()]
    assert all(a["href"].startswith("#") for _, a in outline.tags if a.get("href"))  # type: ignore[union-attr]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|https?://(?!www\.w3\.org)", text)
    assert len(text.encode()) < 250_000, "22 networks"


def test_the_page_says_what_a_latency_was_measured_on(tmp_path: Path) -> None:
    text, outline = parsed(run(), tmp_path)
    assert "Latency in eager PyTorch" in outline.text
    assert outline.text.count("on engine") >= len(Frontier.from_json(run()).points())
    assert re.search(r"<title>rigl 98 %: accuracy [^<]*, latency [^<]* \(on engine, eager PyTorch [^<]*\)", text)
    assert 'data-view="latency_ms"' in text
    assert 'data-view="eager_latency_ms"' not in text, "it is in the table"


def test_the_page_can_be_read_aloud_and_by_keyboard(tmp_path: Path) -> None:
    _, outline = parsed(run(), tmp_path)
    names = [tag for tag, _ in outline.tags]
    assert names.count("h1") == 1
    assert names.count("caption") == names.count("table")
    assert dict(outline.tags)["html"]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for t, a in outline.tags if t == "section"} <= set(ids)
    marks = [a for _, a in outline.tags if "mark" in (a.get("class") or "").split()]
    assert marks
    assert all(a["tabindex"] == "0" and a["role"] == "img" for a in marks)
    assert all(a.get("scope") for tag, a in outline.tags if tag == "th")


def test_what_the_run_holds_is_on_the_page(tmp_path: Path) -> None:
    _, outline = parsed(run(), tmp_path)
    for expected in (
        "gcn on cora",
        "magnitude[granularity=simd-blocks] 90 %",
        "loss is not a number at epoch 7",
        "Example 9000",
        "dense measured faster than every sparse kernel",
        "gossamer compare --data cora",
    ):
        assert expected in outline.text


def test_advice_is_on_the_page_and_leads_to_its_layers(tmp_path: Path) -> None:
    _, outline = parsed(run(), tmp_path)
    advice = Frontier.from_json(run()).advice()
    assert all(choice.text[1:] in outline.text for choice in advice.choices)
    assert all(warning in outline.text for warning in advice.warnings)
    ids = {attributes.get("id") for _, attributes in outline.tags}
    links = [a["href"] for tag, a in outline.tags if tag == "a" and "data-choose" in a]
    assert links
    assert {str(link).removeprefix("#") for link in links} <= ids


def test_a_method_can_be_filtered_from_charts_and_table(tmp_path: Path) -> None:
    _, outline = parsed(run(), tmp_path)
    boxes = {a["data-toggle"] for _, a in outline.tags if "data-toggle" in a}
    series = [(tag, a["data-series"]) for tag, a in outline.tags if a.get("data-series")]
    assert {name for _, name in series} == boxes == {cell["method"] for cell in run()["cells"]}
    assert {name for tag, name in series if tag == "tr"} == boxes


def test_each_network_has_its_layers_with_bars(tmp_path: Path) -> None:
    _, outline = parsed(run(methods=("dense", "rigl")), tmp_path)
    views = [a["data-view"] for _, a in outline.tags if (a.get("id") or "").startswith("layers-p")]
    options = [a["value"] for tag, a in outline.tags if tag == "option"]
    assert views == options == ["p0", "p1", "p2", "p3"]
    shares = [a["style"] for _, a in outline.tags if a.get("class") == "meter"]
    assert len(shares) == 4 * 3 * 3  # networks, layers; zeros, dense time, sparse time
    assert all(0 <= float(str(share).removeprefix("--share:").removesuffix("%")) <= 100 for share in shares)


def test_many_layers_are_kept_to_what_matters(tmp_path: Path) -> None:
    value = run(seeds=(0,))
    for made in value["cells"]:
        made["layers"] = [{**made["layers"][0], "name": f"layer{i}"} for i in range(60)]
    text, outline = parsed(value, tmp_path)
    shown = [a for _, a in outline.tags if (a.get("id") or "").startswith("layers-p")]
    assert 1 <= len(shown) <= 4
    assert "more networks are in run.json" in outline.text
    assert len(text.encode()) < 250_000


def test_failures_name_their_log_and_budgets_are_settings(tmp_path: Path) -> None:
    value = run(methods=("dense", "rigl"))
    for made in value["cells"]:
        if made["sparsity"] == 0.9:
            made |= {"budget": "bytes<=50k", "met_budget": True}
    value["cells"][-1] |= {"status": "failed", "error": "killed", "quality": {}, "log": "cells/x/log.txt"}
    value["cells"][-2] |= {"status": "trained"}
    _, outline = parsed(value, tmp_path)
    for expected in ("cells/x/log.txt", "rigl bytes<=50k (sparsity 0.9)", "Made for bytes<=50k", "1 not measured yet"):
        assert expected in outline.text


def test_no_string_of_the_run_becomes_markup(tmp_path: Path) -> None:
    evil = "<script>alert('&\"')</script>"
    value = run(seeds=(0,)) | {"data": evil, "model": evil, "task": evil, "machine": {evil: evil, "cores": 2}}
    for made in value["cells"]:
        made |= {"notes": [evil], "id": evil}
        made["method"] += evil
        for layer in made["layers"]:
            layer |= {"name": evil, "kind": evil, "reason": evil, "kernel": evil}
    value["cells"][-1] |= {"status": "failed", "error": evil}
    text, outline = parsed(value, tmp_path)
    assert text.count("<script>") == 1
    assert outline.text.count(evil) > 10


@pytest.mark.parametrize("cells", [0, 1])
def test_runs_with_little_in_them(tmp_path: Path, cells: int) -> None:
    bare = cell("rigl", 0.9, 0) | {"layers": [], "history": None, "notes": None}
    bare["cost"] |= {"latency_ms": None, "training_macs": None}
    value = run() | {"cells": [bare][:cells], "machine": None, "training": None}
    _, outline = parsed(value, tmp_path)
    assert "gcn on cora" in outline.text


def test_lower_is_better_says_so(tmp_path: Path) -> None:
    _, outline = parsed(run() | {"higher_is_better": False}, tmp_path)
    assert "↙ better" in outline.text


def test_the_name_of_the_page(tmp_path: Path) -> None:
    assert report.write(run(seeds=(0,)), tmp_path / "a") == tmp_path / "a" / "report.html"
    assert report.write(run(seeds=(0,)), tmp_path / "b.html") == tmp_path / "b.html"


@pytest.mark.parametrize("name", [name for name in theme.COLOURS if name not in {"line", "panel", "ground", "tint"}])
@pytest.mark.parametrize("dark", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["panel", "ground", "tint"])
def test_colours_have_the_contrast_of_text(name: str, dark: int, ground: str) -> None:
    first, second = sorted(luminance(theme.COLOURS[key][dark]) for key in (name, ground))
    assert (second + 0.05) / (first + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Returns relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
