from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.commands.command import number, numbers
from gossamer.errors import SettingError


@given(st.lists(st.integers(-999, 999)), st.sampled_from([",", ", ", " ,", ",,"]))
def test_lists_of_numbers_read_back(values: list[int], comma: str) -> None:
    assert numbers(int, "a whole number")(comma.join(map(str, values))) == tuple(values)


@pytest.mark.parametrize("text", ["x", "1.5", "", "1 2"])
def test_what_is_no_whole_number_is_named(text: str) -> None:
    with pytest.raises(SettingError, match="is not a whole number") as error:
        number(int, "a whole number")(text)
    assert repr(text) in str(error.value)
