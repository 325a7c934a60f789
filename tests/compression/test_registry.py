from __future__ import annotations

import pytest

from gossamer.compression.dense import Dense
from gossamer.compression.registry import method, methods, parse_methods, register
from gossamer.errors import SettingError


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
