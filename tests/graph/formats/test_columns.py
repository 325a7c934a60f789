import pytest

from gossamer.errors import DataError
from gossamer.graph.formats.columns import assign, role_of


@pytest.mark.parametrize(
    ("name", "role"),
    [("FromNodeId", "source"), ("dst", "target"), ("Time Stamp", "time"), ("RATING", "weight"), ("colour", None)],
)
def test_names_suggest_roles(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["time", "source", "target"], ["time", "source", "target"]),
        (["paper", "cites", "year"], ["source", "target", "year"]),
        (["t", "paper", "cites"], ["time", "source", "target"]),
        (["id_1", "id_2"], ["source", "target"]),
    ],
)
def test_headers_give_roles(header, names):
    assert assign("f", len(header), None, header, "") == names


def test_two_columns_need_no_names_and_three_do():
    assert assign("f", 2, None, None, "0 1") == ["source", "target"]
    with pytest.raises(DataError, match=r"columns=\('source', 'target', 'weight', 'time', 'other'\)"):
        assign("f", 5, None, None, "0 1 2 3 4")


def test_one_end_alone_is_not_enough():
    with pytest.raises(DataError, match="no column is the target; found source, colour"):
        assign("f", 2, None, ["source", "colour"], "0 1")
