"""What is written is what `tomllib` reads."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import SettingError
from gossamer.recipes.toml import value_text, write_toml

SCALARS = st.one_of(st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=6))
def test_tables_read_back(table: dict[str, Any]) -> None:
    assert tomllib.loads(write_toml(table)) == table


def test_none_is_left_out_wherever_a_key_is() -> None:
    assert tomllib.loads(write_toml({"a": None, "b": {"c": None, "d": [{"e": None}]}})) == {"b": {"d": [{}]}}


def test_what_has_no_form_is_named() -> None:
    with pytest.raises(SettingError, match="seeds: None has no form in TOML"):
        write_toml({"seeds": [None]})
    with pytest.raises(SettingError, match="has no form in TOML; expected text, a number"):
        value_text(1j)
