"""Names with settings in brackets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import GossamerError, SettingError
from gossamer.naming import parse_named, parse_settings

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
        ('rigl[a="]', "a quote is not closed"),
        ("rigl,rigl", "listed twice"),
        ("[every=1]", "does not read"),
        ("rigl[every=1,every=2]", "'every' is given twice"),
    ],
)
def test_malformed_lists_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_named(text)


@given(st.text(alphabet='ab[]{}=,"1 .:', max_size=20))
def test_any_text_reads_or_is_refused(text: str) -> None:
    for read in (parse_named, lambda words: parse_settings(words, of="it")):
        with contextlib.suppress(GossamerError):
            read(text)
