from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.compression.dense import Dense
from gossamer.compression.registry import method, methods, parse_methods, parse_named, register
from gossamer.errors import SettingError

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
SETTINGS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
    st.one_of(st.integers(-1000, 1000), st.booleans(), st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True)),
    max_size=3,
)


@given(st.lists(st.tuples(NAMES, SETTINGS), min_size=1, max_size=4))
def test_named_lists_read_back_as_they_were_written(items: list[tuple[str, dict[str, object]]]) -> None:
    def write(name: str, settings: dict[str, object]) -> str:
        pairs = ",".join(f"{key}={str(value).lower()}" for key, value in settings.items())
        return f"{name}[{pairs}]" if settings else name

    labels = {write(name, settings): (name, settings) for name, settings in items}
    # "true", "false" and "null" are JSON, so a text that spells one is read as such.
    expected = {
        label: (
            name,
            {key: {"true": True, "false": False, "null": None}.get(str(v), v) for key, v in settings.items()},
        )
        for label, (name, settings) in labels.items()
    }
    assert parse_named(", ".join(labels)) == expected


def test_nested_settings_are_json() -> None:
    found = parse_named('rigl[granularity={"name":"simd-blocks","rows":8},every=50]')
    assert list(found.values()) == [("rigl", {"granularity": {"name": "simd-blocks", "rows": 8}, "every": 50})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no name was given"),
        ("rigl[every=50", "not closed"),
        ("rigl]", "closes nothing"),
        ("rigl[every]", "no '='"),
        ("rigl,rigl", "listed twice"),
        ("[every=1]", "does not read"),
    ],
)
def test_malformed_lists_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_named(text)


def test_unknown_names_list_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'dense'"):
        method("dence")
    with pytest.raises(SettingError, match="did you mean 'sparsity'"):
        method("magnitude", sparcity=0.5)
    with pytest.raises(SettingError, match="below 1"):
        parse_methods("magnitude[sparsity=1.5]")


def test_a_name_is_registered_once_and_well_formed() -> None:
    assert methods()["dense"].method == Dense()
    with pytest.raises(SettingError, match="taken"):
        register("magnitude", Dense(), summary="Another.")
    with pytest.raises(SettingError, match="lower-case"):
        register("Not A Name", Dense(), summary="Bad.")
