import pickle
from collections import defaultdict

import numpy as np
import pytest
import torch
from scipy import sparse

from gossamer.errors import DataError
from gossamer.graph import CSR
from gossamer.tasks.readers.planetoid import (
    PARTS,
    STRUCTURE_PARTS,
    read_planetoid,
    read_planetoid_structure,
)

KNOWN, FEATURES = 520, 40
TEST = [523, 521, 520]  # node 522 is in no file


def write(folder, **changes):
    """Writes a set of 524 nodes: 2 training, 500 validation, 3 test, one that no file describes."""
    rng = np.random.default_rng(0)
    x = sparse.csr_matrix((rng.random((KNOWN + 3, FEATURES)) < 0.1) * 1.0, dtype=np.float32)
    y = np.eye(3, dtype=np.int32)[rng.integers(3, size=KNOWN + 3)]
    graph = defaultdict(list, {0: [1, 1, 523], 1: [0, 1], 523: [0], 521: [520], 520: [521]})
    parts = {
        "x": x[:2],
        "tx": x[KNOWN:],
        "allx": x[:KNOWN],
        "y": y[:2],
        "ty": y[KNOWN:],
        "ally": y[:KNOWN],
        "graph": graph,
    } | {key: value for key, value in changes.items() if key != "test"}
    for name, value in parts.items():
        (folder / name).write_bytes(pickle.dumps(value, protocol=3))
    (folder / "test.index").write_text("".join(f"{node}\n" for node in changes.get("test", TEST)))
    return x.toarray(), y.argmax(axis=1)


def paths(folder, parts=PARTS):
    return [folder / part for part in parts]


def test_rows_labels_and_splits_are_put_in_the_order_of_nodes(tmp_path):
    x, y = write(tmp_path)
    graph = read_planetoid(paths(tmp_path))
    assert graph.num_nodes == 524
    row = [*range(KNOWN), KNOWN + 2, KNOWN + 1, None, KNOWN]  # of each node in x: test.index is 523, 521, 520
    expected = np.stack([np.zeros(FEATURES) if r is None else x[r] / max(x[r].sum(), 1) for r in row])
    assert isinstance(graph.x, CSR)
    np.testing.assert_allclose(graph.x.to_dense().numpy(), expected, rtol=1e-6)
    assert graph.y.tolist() == [-1 if r is None else y[r] for r in row]
    found = {name: mask.nonzero().flatten().tolist() for name, mask in graph.masks.items()}
    assert found == {"train": [0, 1], "val": list(range(2, 502)), "test": sorted(TEST)}


def test_edges_go_both_ways_once_without_loops(tmp_path):
    write(tmp_path)
    edges = {tuple(edge) for edge in read_planetoid(paths(tmp_path)).to_edge_index().T.tolist()}
    assert edges == {(0, 1), (1, 0), (0, 523), (523, 0), (520, 521), (521, 520)}


def test_the_structure_alone_has_a_column_a_node(tmp_path):
    write(tmp_path)
    whole = read_planetoid(paths(tmp_path))
    alone = read_planetoid_structure(paths(tmp_path, STRUCTURE_PARTS))
    assert torch.equal(alone.to_edge_index(), whole.to_edge_index())
    assert torch.equal(alone.y, whole.y)
    assert torch.equal(alone.x.to_dense(), torch.eye(524))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": [523, 521]}, "3 test labels after 520 others do not fit 2 test nodes"),
        ({"test": [523, 521, 521]}, "do not fit"),
        ({"test": [523, 521, 519]}, "do not fit 3 test nodes from 519"),
        ({"test": ["a", "b", "c"]}, "expected the same number of integers"),
        ({"tx": sparse.csr_matrix((2, FEATURES), dtype=np.float32)}, r"520 \+ 2 rows of features"),
        ({"graph": defaultdict(list, {0: [999]})}, "graph: an edge names node 999, expected 0..523"),
    ],
)
def test_files_of_different_sets_are_refused(tmp_path, changes, message):
    write(tmp_path, **changes)
    with pytest.raises(DataError, match=message):
        read_planetoid(paths(tmp_path))
