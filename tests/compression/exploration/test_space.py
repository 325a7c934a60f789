"""What may be varied is what a method takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.compression import Method, method
from gossamer.compression.exploration.space import Choices, Interval, label, space, with_values
from gossamer.compression.registry import parse_methods
from gossamer.errors import SettingError
from gossamer.prune.granularity import SIMDBlocks
from gossamer.settings import bounded


@dataclass(frozen=True, kw_only=True)
class Kinds(Method):
    name = "kinds-for-tests"
    knob = "sparsity"
    knobs = ("steps", "how", "both")
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)
    steps: int = bounded(3, gt=0, lt=8)
    how: Literal["fast", "slow"] = "fast"
    both: bool = True
    endless: int = bounded(1, ge=1)
    text: str = "a"


def test_each_kind_of_field_has_its_values() -> None:
    assert space(Kinds()) == {
        "sparsity": Interval(0.0, 0.999, False),
        "steps": Interval(1, 7, True),
        "how": Choices(("fast", "slow")),
        "both": Choices((False, True)),
    }


def test_ranges_narrow_and_add() -> None:
    found = space(Kinds(), {"sparsity": (0.5, 0.9), "endless": (1, 4), "how": ("slow",), "both": (True, False)})
    assert found["sparsity"] == Interval(0.5, 0.9, False)
    assert found["endless"] == Interval(1, 4, True)
    assert "how" not in found, "one value leaves nothing to vary"


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"sparsty": (0, 1)}, "did you mean 'sparsity'"),
        ({"sparsity": (0.5, 1.5)}, "sparsity is 1.5; expected a number at least 0 and below 1"),
        ({"sparsity": (0.5,)}, "expected two numbers"),
        ({"text": ("a", "b")}, "cannot be varied"),
    ],
)
def test_ranges_that_do_not_fit_are_refused(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        space(Kinds(), ranges)


def test_a_method_with_nothing_to_vary_says_so() -> None:
    with pytest.raises(SettingError, match="nothing to explore"):
        space(method("dense"))


def test_families_offer_the_members_that_the_method_takes() -> None:
    found = space(method("magnitude"))
    assert isinstance(found["granularity"], Choices)
    assert {"single-weights", "simd-blocks", "filters"} <= set(found["granularity"].values)
    assert "n-m" not in found["granularity"].values, "its sparsity is fixed, so 0.9 is refused"
    regrowing = space(method("rigl"))["granularity"]
    assert isinstance(regrowing, Choices)
    assert "filters" not in regrowing.values
    with pytest.raises(SettingError, match="cannot grow back"):
        space(method("rigl"), {"granularity": ("single-weights", "filters")})


def test_the_member_a_method_has_keeps_its_settings() -> None:
    eight = method("magnitude").replace(granularity=SIMDBlocks(rows=8))
    same = with_values(eight, {"granularity": "simd-blocks", "sparsity": 0.5})
    assert same == eight.replace(sparsity=0.5)
    assert with_values(same, {"granularity": "filters"}).to_json()["granularity"] == {"name": "filters"}


@given(st.floats(0.0, 0.999), st.floats(0.01, 1.0), st.sampled_from(["by-gradient", "at-random"]))
def test_a_label_reads_back_as_the_method(sparsity: float, first: float, grow: str) -> None:
    own = method("rigl")
    values = {"sparsity": sparsity, "first": first, "grow": grow}
    text = label("rigl", own, values)
    assert parse_methods(text) == {text: with_values(own, values).replace(sparsity=own.to_json()["sparsity"])}


def test_a_label_with_settings_is_gone_on_with() -> None:
    own = method("rigl", every=7)
    assert label("rigl[every=7]", own, {"sparsity": 0.5}) == "rigl[every=7]"
    assert label("rigl[every=7]", own, {"first": 0.25}) == "rigl[every=7,first=0.25]"
