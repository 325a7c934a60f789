from __future__ import annotations

import gzip

import numpy as np
import pytest

from gossamer.errors import DataError
from gossamer.tasks.readers.contacts import read_coauthors, read_contacts


def test_contacts_go_both_ways_and_people_have_groups(tmp_path):
    path = tmp_path / "contacts.txt.gz"
    path.write_bytes(gzip.compress(b"7 3 40 b a\n3 9 20 a c\n7 3 60 b a\n"))
    graph = read_contacts([path])
    source, target = graph.to_edge_index().tolist()
    time = graph.edge_data["time"].tolist()
    assert graph.y.tolist() == [0, 1, 2]  # nodes 3, 7, 9
    once = [(1, 0, 40), (0, 2, 20), (1, 0, 60)]
    assert sorted(zip(source, target, time, strict=True)) == sorted(once + [(b, a, t) for a, b, t in once])


def test_a_person_of_two_groups_is_refused(tmp_path):
    path = tmp_path / "contacts.txt"
    path.write_text("7 3 40 b a\n3 9 20 c c\n")
    with pytest.raises(DataError, match="3 is in two groups"):
        read_contacts([path])


def test_coauthors_have_fields_or_none(tmp_path):
    path = tmp_path / "authors.npz"
    arrays = {"u": [0, 1], "v": [1, 2], "year": [1990, 1980], "label_overall": [4, -1, 2]}
    np.savez(path, **{name: np.array(values) for name, values in arrays.items()})
    graph = read_coauthors([path])
    assert graph.y.tolist() == [1, -1, 0]
    assert (graph.num_nodes, graph.num_edges) == (3, 4)
    assert sorted(graph.edge_data["time"].tolist()) == [1980, 1980, 1990, 1990]


def test_damaged_coauthors_are_refused(tmp_path):
    path = tmp_path / "authors.npz"
    path.write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="expected u, v, year"):
        read_coauthors([path])
    np.savez(path, u=np.zeros(1))
    with pytest.raises(DataError, match="expected u, v, year"):
        read_coauthors([path])
