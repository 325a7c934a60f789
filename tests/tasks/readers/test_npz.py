import numpy as np
import pytest
import torch
from scipy import sparse

from gossamer.errors import DataError
from gossamer.graph import CSR
from gossamer.tasks.readers.npz import read_heterophilous, read_sparse_npz


def sparse_arrays(columns=40):
    adjacency = sparse.csr_matrix(([1.0, 1.0, 1.0, 1.0], ([0, 1, 2, 3], [1, 0, 2, 1])), shape=(4, 4))
    attributes = sparse.csr_matrix(([2.0, 6.0, 1.0], ([0, 0, 3], [1, 2, columns - 1])), shape=(4, columns))
    found = {"labels": np.array([1, 3, 3, 2])}
    for name, matrix in (("adj", adjacency), ("attr", attributes)):
        for part in ("data", "indices", "indptr", "shape"):
            found[f"{name}_{part}"] = np.asarray(getattr(matrix, part))
    return found


def heterophilous_arrays():
    masks = {f"{split}_masks": np.eye(4, dtype=bool)[[i, i + 1]] for i, split in enumerate(("train", "val", "test"))}
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    return {"node_features": x, "node_labels": np.array([0, 1, 0, 1]), "edges": np.array([[0, 1], [3, 0]])} | masks


def edges(graph):
    return {tuple(edge) for edge in graph.to_edge_index().T.tolist()}


def test_the_sparse_layout_is_symmetric_normalised_and_counts_classes_from_0(tmp_path):
    np.savez(tmp_path / "a.npz", **sparse_arrays())
    graph = read_sparse_npz([tmp_path / "a.npz"])
    assert edges(graph) == {(0, 1), (1, 0), (1, 3), (3, 1)}
    assert graph.y.tolist() == [0, 2, 2, 1]
    assert isinstance(graph.x, CSR)
    dense = graph.x.to_dense()
    assert dense[0, :4].tolist() == [0.0, 0.25, 0.75, 0.0]
    assert dense.sum(dim=1).tolist() == [1.0, 0.0, 0.0, 1.0]
    assert graph.masks == {}


def test_few_columns_are_kept_dense(tmp_path):
    np.savez(tmp_path / "a.npz", **sparse_arrays(columns=5))
    assert isinstance(read_sparse_npz([tmp_path / "a.npz"]).x, torch.Tensor)


def test_the_heterophilous_layout_keeps_features_and_all_splits(tmp_path):
    arrays = heterophilous_arrays()
    np.savez(tmp_path / "h.npz", **arrays)
    graph = read_heterophilous([tmp_path / "h.npz"])
    assert edges(graph) == {(0, 1), (1, 0), (0, 3), (3, 0)}
    assert graph.x.tolist() == arrays["node_features"].tolist()
    assert graph.masks["val"].tolist() == arrays["val_masks"].T.tolist()
    assert {name: mask.shape for name, mask in graph.masks.items()} == dict.fromkeys(("train", "val", "test"), (4, 2))


def test_damaged_foreign_and_pickled_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, labels=np.zeros(3))
    with pytest.raises(DataError, match="found the arrays labels, expected also adj_data"):
        read_sparse_npz([path])
    np.savez(path, **(sparse_arrays() | {"labels": np.array([None, "code"], dtype=object)}))
    with pytest.raises(DataError, match=r"not a readable \.npz"):
        read_sparse_npz([path])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"not a readable \.npz"):
        read_sparse_npz([path])
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"not a readable \.npz"):
        read_sparse_npz([path])


def test_parts_that_make_no_matrix_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", **(sparse_arrays() | {"attr_indices": np.array([1, 2, 99])}))
    with pytest.raises(DataError, match=r"attr_\* make no CSR matrix"):
        read_sparse_npz([tmp_path / "a.npz"])
