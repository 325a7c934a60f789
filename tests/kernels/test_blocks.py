from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import from_blocks, to_blocks
from tests.kernels.test_block_matmul import matrix


def test_worked_example():
    blocks = to_blocks(torch.tensor([[0.0, 2.0, 0.0], [0.0, 3.0, 4.0]]))
    assert blocks.indptr.tolist() == [0, 2]
    assert blocks.columns.tolist() == [1, 2]
    assert blocks.values[:, :3].tolist() == [[2.0, 3.0, 0.0], [0.0, 4.0, 0.0]]
    assert not blocks.values[:, 2:].any()


@given(st.integers(0, 50), st.integers(0, 20), st.sampled_from([0.0, 0.3, 1.0]))
def test_there_and_back(rows, columns, kept):
    dense = matrix(rows, columns, kept)
    assert torch.equal(from_blocks(*to_blocks(dense), rows, columns), dense)


def test_only_floating_point_matrices_have_blocks():
    with pytest.raises(DataError, match="dense: expected a floating-point dtype"):
        to_blocks(torch.ones(2, 2, dtype=torch.int64))
    with pytest.raises(DataError, match=r"dense: expected a matrix, found float32 of shape \(2,\)"):
        to_blocks(torch.ones(2))
