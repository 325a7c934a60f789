import numpy as np
import pytest
from scipy import io, sparse

from gossamer.errors import DataError
from gossamer.tasks.readers.links import read_mat


def test_the_matrix_becomes_a_graph_both_ways_without_weights(tmp_path):
    net = sparse.csc_matrix(([5.0, 1.0, 2.0], ([0, 1, 3], [1, 0, 2])), shape=(5, 5))
    io.savemat(tmp_path / "a.mat", {"net": net})
    graph = read_mat([tmp_path / "a.mat"])
    assert graph.num_nodes == 5
    assert {tuple(e) for e in graph.to_edge_index().T.tolist()} == {(0, 1), (1, 0), (2, 3), (3, 2)}
    assert graph.weights is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.ones(3)}, "expected a MATLAB v5 file with a sparse matrix 'net'"),
        ({"net": np.ones((2, 2))}, "expected a MATLAB v5 file with a sparse matrix"),
        ({"net": sparse.csc_matrix((2, 3))}, "'net' is 2x3, expected a square"),
    ],
)
def test_other_contents_are_refused(tmp_path, arrays, message):
    io.savemat(tmp_path / "a.mat", arrays)
    with pytest.raises(DataError, match=message):
        read_mat([tmp_path / "a.mat"])


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0" + bytes(200))
    with pytest.raises(DataError, match="get the original"):
        read_mat([tmp_path / "a.mat"])
