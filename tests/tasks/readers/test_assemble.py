from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gossamer.errors import DataError
from gossamer.graph import CSR
from gossamer.tasks.readers.assemble import features, undirected

HERE = Path("file")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20))
def test_both_directions_are_there_once_and_loops_are_not(edges):
    source, target = np.array(edges, dtype=np.int32).reshape(-1, 2).T
    found = [tuple(edge) for edge in undirected(source, target, 7, where=HERE).T.tolist()]
    assert len(found) == len(set(found))
    assert set(found) == {edge for a, b in edges if a != b for edge in ((a, b), (b, a))}


@pytest.mark.parametrize(("edge", "worst"), [((0, 7), 7), ((-1, 3), -1)])
def test_nodes_out_of_range_are_refused(edge, worst):
    with pytest.raises(DataError, match=rf"file: an edge names node {worst}, expected 0\.\.6"):
        undirected(np.array(edge[:1]), np.array(edge[1:]), 7, where=HERE)


@settings(max_examples=30, deadline=None)
@given(columns=st.sampled_from([3, 40]), density=st.sampled_from([0.05, 0.9]), seed=st.integers(0, 99))
def test_features_are_sparse_where_that_pays_and_rows_sum_to_one(columns, density, seed):
    x = sparse.random(6, columns, density, format="csr", random_state=seed).toarray()
    plain, normalised = (features(x, normalise=normalise) for normalise in (False, True))
    assert isinstance(plain, CSR) == (columns == 40 and density < 0.2)
    dense = [part.to_dense() if isinstance(part, CSR) else part for part in (plain, normalised)]
    assert dense[0].dtype == dense[1].dtype == torch.float32
    np.testing.assert_allclose(dense[0].numpy(), x, rtol=1e-6)
    sums = x.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(dense[1].numpy(), x / np.where(sums == 0, 1, sums), rtol=1e-5)
