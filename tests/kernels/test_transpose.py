from __future__ import annotations

import pytest
import torch
from hypothesis import given

from gossamer.errors import DataError
from gossamer.kernels import transpose_csr
from gossamer.kernels.transpose import TRANSPOSE, transpose_csr_reference
from tests.kernels.patterns import normal, patterns, to_dense


@given(patterns())
def test_is_the_transpose_and_edge_leads_back(pattern):
    indptr, indices, columns = pattern
    values = normal(indices.shape[0])
    there = transpose_csr(indptr, indices, columns)
    assert there.indptr.dtype == torch.int64
    assert there.indices.dtype == there.edge.dtype == indices.dtype
    turned = to_dense(there.indptr, there.indices, indptr.shape[0] - 1, values[there.edge.long()])
    torch.testing.assert_close(turned, to_dense(indptr, indices, columns, values).T)


@given(patterns())
def test_native_equals_reference(pattern):
    for got, expected in zip(transpose_csr(*pattern), transpose_csr_reference(*pattern), strict=True):
        assert torch.equal(got, expected)
        assert got.dtype == expected.dtype


def test_by_hand():
    there = transpose_csr(torch.tensor([0, 2, 3]), torch.tensor([2, 0, 2]), 3)
    assert [part.tolist() for part in there] == [[0, 1, 1, 3], [0, 0, 1], [1, 0, 2]]


@pytest.mark.parametrize("bad", [-1, 3])
def test_an_index_out_of_range_is_an_error(bad):
    for transpose in (transpose_csr, transpose_csr_reference):
        with pytest.raises(DataError, match=r"indices: holds values outside \[0, 3\)"):
            transpose(torch.tensor([0, 2]), torch.tensor([0, bad]), 3)


def test_a_negative_width_is_an_error():
    with pytest.raises(DataError, match="columns: expected at least 0, found -1"):
        transpose_csr(torch.tensor([0]), torch.tensor([], dtype=torch.int64), -1)


def test_operator_is_registered_soundly():
    torch.library.opcheck(TRANSPOSE, (torch.tensor([0, 2, 3]), torch.tensor([2, 0, 2]), 3))
