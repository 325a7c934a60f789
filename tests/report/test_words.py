from __future__ import annotations

import shlex
from typing import Any

from gossamer import units
from gossamer.report import words
from gossamer.report.source import read
from tests.report.fixture import cell, run


def pair(**changes: Any) -> dict[str, Any]:
    """Returns a run of a dense and a pruned network, level with each other, some costs of the latter changed."""
    dense, small = cell("dense", None, 0), cell("rigl", 0.9, 0)
    for made in (dense, small):
        made["quality"]["accuracy"] = made["validation"]["accuracy"] = 0.8
        made["cost"] |= {"bytes": 1000, "macs": 600, "latency_ms": 2.0}
    small["cost"] |= changes
    return run() | {"cells": [dense, small]}


def test_the_headline_claims_what_was_found() -> None:
    said = words.headline(read(pair(bytes=100, macs=200, latency_ms=1.0)))
    assert said.startswith("rigl 90 % is the smallest network that is level with the dense one")
    plain = said.replace(units.TIMES, "x")
    assert "10x fewer bytes, 3.0x fewer multiply-accumulates and 2.0x faster measured here" in plain


def test_no_speed_up_is_claimed_without_a_clock() -> None:
    assert "faster" not in words.headline(read(pair(bytes=100, macs=10, latency_ms=None)))
    assert "the same latency" in words.headline(read(pair(bytes=100, macs=10, latency_ms=1.98)))
    assert "4.0\N{MULTIPLICATION SIGN} slower" in words.headline(read(pair(bytes=100, macs=10, latency_ms=8.0)))


def test_the_headline_says_when_nothing_is_level() -> None:
    lossy = pair(bytes=100)
    lossy["cells"][1]["validation"]["accuracy"] = 0.6
    lossy["cells"][1]["quality"]["accuracy"] = 0.61
    said = words.headline(read(lossy))
    assert "No compressed network was level" in said
    assert "rigl 90 %, \N{MINUS SIGN}19.0 points of accuracy" in said


def test_the_headline_without_dense_or_without_anything() -> None:
    only = run() | {"cells": [cell("rigl", 0.9, 0)]}
    assert "no dense network in this run" in words.headline(read(only))
    assert words.headline(read(run() | {"cells": []})) == "No compressed network was finished."


def test_the_command_names_every_cell_again() -> None:
    told = shlex.split(words.command(read(run(methods=("dense", "magnitude[granularity=simd-blocks]")))))
    options = dict(zip(told[2::2], told[3::2], strict=True))
    assert told[:2] == ["gossamer", "compare"]
    assert options["--methods"] == "dense,magnitude[granularity=simd-blocks]"
    assert options["--sparsities"] == "0.5,0.9,0.98"
    assert options["--seeds"] == "0,1,2"
    assert options["--epochs"] == "60"
