from __future__ import annotations

from gossamer.errors import nearest, unknown


def test_nearest_names_come_first_and_far_ones_not_at_all() -> None:
    assert nearest("cora", ["cora", "cora-ml", "pubmed"])[0] == "cora"
    assert nearest("zzz", ["cora", "pubmed"]) == []


def test_unknown_names_list_what_there_is() -> None:
    assert unknown("method", "zzz", ["b", "a"]) == "unknown method 'zzz'; Known: a, b"
