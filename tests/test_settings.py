from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import SettingError
from gossamer.settings import Settings, bounded, describe, members, within


@dataclass(frozen=True, kw_only=True)
class Shape(Settings):
    """A family."""


@dataclass(frozen=True, kw_only=True)
class Circle(Shape):
    name = "circle"
    radius: float = bounded(1.0, gt=0.0, le=10.0)


@dataclass(frozen=True, kw_only=True)
class Polygon(Shape):
    name = "polygon"
    corners: int = bounded(3, ge=3)
    filled: bool = False


@dataclass(frozen=True, kw_only=True)
class Drawing(Settings):
    shape: Shape = Circle()
    others: tuple[Shape, ...] = ()
    title: str | None = None
    mode: Literal["light", "dark"] = "light"


SHAPES = st.one_of(
    st.builds(Circle, radius=st.floats(1e-3, 10.0)),
    st.builds(Polygon, corners=st.integers(3, 99), filled=st.booleans()),
)


@given(
    st.builds(
        Drawing,
        shape=SHAPES,
        others=st.lists(SHAPES, max_size=3).map(tuple),
        title=st.none() | st.text(),
        mode=st.sampled_from(["light", "dark"]),
    )
)
def test_goes_to_json_and_back(drawing: Drawing) -> None:
    assert Drawing.from_json(json.loads(json.dumps(drawing.to_json()))) == drawing


@given(st.floats(allow_nan=True), st.floats(-5, 5), st.floats(-5, 5))
def test_within_is_the_conjunction_of_its_limits(value: float, low: float, high: float) -> None:
    assert within(value, {"ge": low, "lt": high}) == (low <= value < high)
    assert within(value, {"gt": low, "le": high}) == (low < value <= high)


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (Circle(), {"radius": 0.0}, r"circle: radius is 0.0; expected a number above 0 and at most 10"),
        (Circle(), {"radius": float("nan")}, "radius"),
        (Circle(), {"radius": "wide"}, "expected float, found str"),
        (Polygon(), {"corners": 2.5}, "expected int, found float"),
        (Polygon(), {"corners": True}, "expected int, found bool"),
        (Polygon(), {"corner": 4}, "did you mean 'corners'"),
        (Drawing(), {"shape": "circel"}, "did you mean 'circle'"),
        (Drawing(), {"mode": "sepia"}, "expected one of 'light', 'dark'"),
        (Drawing(), {"shape": {"radius": 2.0}}, "unknown shape"),
    ],
)
def test_bad_settings_are_refused_with_what_was_expected(
    settings: Settings, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        settings.replace(**changes)


def test_names_stand_for_members() -> None:
    assert Drawing().replace(shape="polygon").shape == Polygon()
    assert Drawing().replace(shape={"name": "circle", "radius": 2}).shape == Circle(radius=2.0)
    assert members(Shape) == {"circle": Circle, "polygon": Polygon}
    assert describe({"ge": 0, "lt": 1}) == "at least 0 and below 1"


def test_unknown_keys_are_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'radius'"):
        Shape.from_json({"name": "circle", "radios": 1.0})
    with pytest.raises(SettingError, match="expected a JSON object"):
        Shape.from_json([1])  # type: ignore[arg-type]
