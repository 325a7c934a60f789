from __future__ import annotations

from typing import Any

import pytest

from gossamer.errors import SettingError
from gossamer.papers import Claim
from tests.papers.protocol.toy import ToySetup, claim, toy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "Two words"}, "lower-case words joined by hyphens"),
        ({"margin": -1.0}, "higher needs one above 0"),
        ({"margin": 0.0, "direction": "lower"}, "lower needs one below 0"),
        ({"margin": 0.5, "comparison": "ratio"}, "higher needs one above 1"),
        ({"margin": -0.5, "comparison": "ratio", "direction": "lower"}, "a ratio is above 0"),
        ({"direction": "equal"}, "a tolerance above 0 and no margin"),
        ({"direction": "no lower", "margin": 1.0, "tolerance": 1.0}, "a tolerance above 0 and no margin"),
        ({"direction": "sideways"}, "expected one of 'higher'"),
        ({"tolerance": -1.0}, "at least 0"),
    ],
)
def test_a_claim_checks_itself(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        claim(**{"name": changes.pop("id", "more"), **changes})


def test_a_claim_goes_to_json_and_back() -> None:
    one = claim(direction="lower", comparison="ratio", margin=0.25, tolerance=0.1)
    assert Claim.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "A B"}, "lower-case words"),
        ({"claims": ()}, "at least one"),
        ({"claims": (claim(), claim())}, "each id once"),
        ({"scales": {"smoke": ToySetup()}}, "expected smoke, small, full"),
    ],
)
def test_a_paper_checks_itself(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        toy(**changes)


def test_a_paper_knows_where_it_can_be_read() -> None:
    assert toy().link == ""
    assert toy(arxiv="2209.04766").link == "https://arxiv.org/abs/2209.04766"
