import copy

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from torch.testing import assert_close

from gossamer.errors import DataError
from gossamer.graph import CSR

from .strategies import coordinates


def dense_of(row, column, values, shape):
    dense = torch.zeros(shape)
    for place in range(len(row)):
        dense[row[place], column[place]] += 1.0 if values is None else values[place]
    return dense


@given(coordinates())
def test_coordinates_keep_their_sum(parts):
    row, column, values, shape = parts
    matrix = CSR.from_coo(row, column, values, shape=shape)
    assert matrix.nnz == len(row)
    assert_close(matrix.to_dense(), dense_of(*parts))


@given(coordinates())
def test_entries_come_out_sorted(parts):
    row, column, _, shape = parts
    matrix = CSR.from_coo(row, column, shape=shape)
    places = list(zip(matrix.rows.tolist(), matrix.indices.tolist(), strict=True))
    assert places == sorted(zip(row.tolist(), column.tolist(), strict=True))
    assert matrix.indptr.dtype == torch.int64
    assert matrix.indices.dtype == torch.int32


@given(coordinates())
def test_summing_duplicates_leaves_one_entry_a_place(parts):
    row, column, values, shape = parts
    matrix = CSR.from_coo(row, column, values, shape=shape, sum_duplicates=True)
    assert matrix.nnz == len(set(zip(row.tolist(), column.tolist(), strict=True)))
    assert_close(matrix.to_dense(), dense_of(*parts))


@given(coordinates())
def test_transposing_twice_gives_the_matrix_back(parts):
    row, column, values, shape = parts
    matrix = CSR.from_coo(row, column, values, shape=shape)
    assert matrix.t().shape == (shape[1], shape[0])
    assert_close(matrix.t().to_dense(), matrix.to_dense().t())
    back = matrix.t().t()
    assert torch.equal(back.indptr, matrix.indptr)
    assert torch.equal(back.indices, matrix.indices)
    if values is not None:
        assert torch.equal(back.values, matrix.values)


@given(coordinates())
def test_product_and_its_gradients_are_those_of_the_dense_matrix(parts):
    row, column, values, shape = parts
    matrix = CSR.from_coo(row, column, values, shape=shape)
    if values is not None:
        matrix = matrix.with_values(matrix.values.requires_grad_())
    generator = torch.Generator().manual_seed(0)
    right = torch.randn(shape[1], 3, generator=generator, requires_grad=True)
    other = right.detach().clone().requires_grad_()
    dense = matrix.to_dense().detach().requires_grad_()
    weight = torch.randn(shape[0], 3, generator=generator)
    got, want = matrix.matmul(right), dense @ other
    assert_close(got, want)
    (got * weight).sum().backward()
    (want * weight).sum().backward()
    assert_close(right.grad, other.grad)
    if values is not None:
        assert_close(matrix.values.grad, dense.grad[matrix.rows, matrix.indices.long()])


@given(coordinates())
def test_scipy_there_and_back(parts):
    row, column, values, shape = parts
    matrix = CSR.from_coo(row, column, values, shape=shape)
    other = matrix.to_scipy()
    assert other.shape == shape
    np.testing.assert_array_equal(other.toarray(), matrix.to_dense().numpy())
    back = CSR.from_scipy(other)
    assert torch.equal(back.indices, matrix.indices)
    assert_close(back.to_dense(), matrix.to_dense())


def test_scipy_memory_is_not_shared():
    other = scipy.sparse.csr_array(np.eye(3, dtype=np.float32))
    matrix = CSR.from_scipy(other)
    other.data[:] = 7
    assert_close(matrix.to_dense(), torch.eye(3))
    matrix.to_scipy().data[:] = 5
    assert_close(matrix.to_dense(), torch.eye(3))


@pytest.mark.parametrize("kind", ["csc_matrix", "coo_array", "csr_matrix", "lil_matrix"])
def test_any_scipy_form_and_integers_are_read(kind):
    dense = np.array([[0, 2, 0], [1, 0, 3]])
    matrix = CSR.from_scipy(getattr(scipy.sparse, kind)(dense))
    assert matrix.dtype == torch.float32
    np.testing.assert_array_equal(matrix.to_dense().numpy(), dense)


@given(coordinates())
def test_dense_there_and_back(parts):
    dense = dense_of(*parts)
    matrix = CSR.from_dense(dense)
    assert matrix.nnz == int((dense != 0).sum())
    assert torch.equal(matrix.to_dense(), dense)


def test_from_dense_keeps_nan_and_drops_both_zeros():
    matrix = CSR.from_dense(torch.tensor([[float("nan"), 0.0, -0.0]]))
    assert matrix.indices.tolist() == [0]


@given(coordinates())
def test_row_sums_and_density(parts):
    matrix = CSR.from_coo(*parts[:3], shape=parts[3])
    assert_close(matrix.row_sums(), matrix.to_dense().sum(dim=1))
    assert matrix.density * parts[3][0] * parts[3][1] == pytest.approx(matrix.nnz)


def test_values_share_the_structure_and_its_transpose():
    matrix = CSR.from_dense(torch.tensor([[0.0, 2.0], [3.0, 0.0]]))
    other = matrix.with_values(torch.tensor([5.0, 6.0]))
    assert other.indices is matrix.indices
    assert other.transpose is matrix.transpose
    assert_close(other.to_dense(), torch.tensor([[0.0, 5.0], [6.0, 0.0]]))
    assert_close(matrix.to_dense(), torch.tensor([[0.0, 2.0], [3.0, 0.0]]))
    assert_close(other.with_values(None).to_dense(), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))


def test_double_precision_passes_gradcheck():
    matrix = CSR.from_coo(
        torch.tensor([0, 0, 2]), torch.tensor([1, 1, 0]), torch.ones(3, dtype=torch.float64), shape=(3, 2)
    )
    right = torch.randn(2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    values = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, r: matrix.with_values(v).matmul(r), (values, right))


def test_wide_matrices_have_long_indices():
    matrix = CSR(torch.tensor([0, 1]), torch.tensor([2**31 + 5]), shape=(1, 2**31 + 6))
    assert matrix.indices.dtype == torch.int64
    assert matrix.indices.tolist() == [2**31 + 5]


def test_a_copy_is_its_own_and_moving_nowhere_is_free():
    matrix = CSR.from_dense(torch.eye(2))
    assert matrix.to("cpu") is matrix
    twin = copy.deepcopy(matrix)
    twin.values.fill_(3)
    assert_close(matrix.to_dense(), torch.eye(2))
    moved = matrix.to("meta")
    assert moved.device.type == "meta"
    assert moved.shape == matrix.shape


@pytest.mark.parametrize(
    ("indptr", "indices", "values", "shape", "message"),
    [
        ([0, 1], [0], None, (2, 2), r"indptr has shape \(2,\); 2 rows need \(3,\)"),
        ([1, 1, 1], [0], None, (2, 2), "indptr starts at 1; expected 0"),
        ([0, 1, 2], [0], None, (2, 2), "indptr ends at 2; expected the number of indices, 1"),
        ([0, 2, 1, 2], [0, 1], None, (3, 2), "indptr falls after row 1"),
        ([0, 1, 1], [2], None, (2, 2), "column index 2 found; expected 0 to 1"),
        ([0, 1, 1], [-1], None, (2, 2), "column index -1 found"),
        ([0, 1, 1], [0], [1.0, 2.0], (2, 2), r"values have shape \(2,\); expected \(1,\)"),
        ([0], [], None, (-1, 2), r"shape is \(-1, 2\)"),
    ],
)
def test_what_is_not_a_matrix_is_refused_by_name(indptr, indices, values, shape, message):
    with pytest.raises(DataError, match=message):
        CSR(
            torch.tensor(indptr),
            torch.tensor(indices, dtype=torch.int64),
            None if values is None else torch.tensor(values),
            shape=shape,
        )


def test_other_wrong_arguments_are_refused_by_name():
    matrix = CSR.from_dense(torch.eye(2))
    with pytest.raises(DataError, match="needs 2 rows on its right"):
        matrix.matmul(torch.ones(3, 1))
    with pytest.raises(DataError, match=r"indices are torch\.float32"):
        CSR(torch.tensor([0, 1]), torch.tensor([0.0]), shape=(1, 1))
    with pytest.raises(DataError, match="row index 2 found"):
        CSR.from_coo(torch.tensor([2]), torch.tensor([0]), shape=(2, 2))
    with pytest.raises(DataError, match="one row and one column an entry"):
        CSR.from_coo(torch.tensor([1, 1]), torch.tensor([0]), shape=(2, 2))
    with pytest.raises(DataError, match="needs a matrix, found 1 dimensions"):
        CSR.from_dense(torch.ones(3))


def test_repr_says_what_it_is():
    assert repr(CSR.from_dense(torch.eye(2))) == "CSR(shape=(2, 2), nnz=2, values=float32)"
