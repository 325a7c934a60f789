from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import csr_linear, csr_linear_reference, csr_matmul, csr_matmul_reference, native
from gossamer.kernels.csr_matmul import CSR_PRODUCT
from tests.kernels.patterns import HALVES, WIDTHS, csr_arrays, normal, patterns, power_law, to_dense

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")
INDPTR, INDICES = torch.tensor([0, 2, 2, 3, 5]), torch.tensor([0, 2, 1, 2, 2])
VALUES = torch.tensor([1.0, -1.0, 2.0, 0.5, 0.5])


def test_worked_example():
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    assert csr_matmul(INDPTR, INDICES, VALUES, x).tolist() == [[-2.0, -20.0], [0.0, 0.0], [4.0, 40.0], [3.0, 30.0]]
    bias = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert csr_linear(INDPTR, INDICES, VALUES, x.T, bias).tolist() == [[-1.0, 2.0, 7.0, 7.0], [-19.0, 2.0, 43.0, 34.0]]


@settings(deadline=None, max_examples=60)
@given(patterns(), st.sampled_from(WIDTHS), st.booleans(), st.booleans())
def test_native_and_reference_are_the_definition(pattern, batch, with_bias, relu):
    indptr, indices, columns = pattern
    values, x = normal(indices.shape[0]), normal(batch, columns, seed=1)
    bias = normal(indptr.shape[0] - 1, seed=2) if with_bias else None
    expected = x.double() @ to_dense(indptr, indices, columns, values).T + (0 if bias is None else bias)
    expected = expected.relu() if relu else expected
    for linear in (csr_linear, csr_linear_reference):
        out = linear(indptr, indices, values, x, bias, relu)
        torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-4)
    for matmul in (csr_matmul, csr_matmul_reference):
        out = matmul(indptr, indices, values, x.T, bias, relu)
        torch.testing.assert_close(out.double(), expected.T, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", WIDTHS)
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_every_batch_on_every_instruction_set(batch, index):
    indptr, indices = power_law(37, 300, seed=batch)
    values, x, bias = normal(300), normal(batch, 37, seed=1), normal(37, seed=2)
    expected = x.double() @ to_dense(indptr, indices, 37, values).T
    out = csr_linear(indptr, indices.to(index), values, x, bias)
    torch.testing.assert_close(out.double(), expected + bias, rtol=1e-5, atol=1e-4)
    out = csr_matmul(indptr, indices.to(index), values, x.T.contiguous())
    torch.testing.assert_close(out.double(), expected.T, rtol=1e-5, atol=1e-4)


@needs_kernels
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_number_of_threads_changes_no_bit(isa, threads, batch):
    indptr, indices = power_law(300, 90_000)
    values, x, bias = normal(90_000), normal(batch, 300, seed=1), normal(300, seed=2)
    linear, matmul = [], []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        linear.append(csr_linear(indptr, indices, values, x, bias))
        matmul.append(csr_matmul(indptr, indices, values, x.T))
    assert all(torch.equal(linear[0], other) for other in linear[1:])
    assert all(torch.equal(matmul[0], other) for other in matmul[1:])


def test_leading_dimensions_are_kept():
    x = normal(2, 5, 3)
    out = csr_linear(INDPTR, INDICES, VALUES, x)
    assert out.shape == (2, 5, 4)
    torch.testing.assert_close(out[1, 2], csr_linear(INDPTR, INDICES, VALUES, x[1, 2]))
    assert csr_linear(INDPTR, INDICES, VALUES, normal(2, 0, 3)).shape == (2, 0, 4)


def test_gradients_to_second_order():
    values, bias = VALUES.double().requires_grad_(), normal(4).double().requires_grad_()
    x = normal(2, 3).double().requires_grad_()
    for call, inputs in (
        (lambda v, x, b: csr_linear(INDPTR, INDICES, v, x, b), (values, x, bias)),
        (lambda v, x: csr_matmul(INDPTR, INDICES, v, x.T), (values, x)),
    ):
        assert torch.autograd.gradcheck(call, inputs)
        assert torch.autograd.gradgradcheck(call, inputs)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 7, 40])
def test_native_gradients_equal_dense_ones(batch):
    indptr, indices = power_law(37, 300)
    values, x = normal(300).requires_grad_(), normal(batch, 37, seed=1).requires_grad_()
    flow = normal(batch, 37, seed=2)
    dense = to_dense(indptr, indices, 37, values.detach()).requires_grad_()
    csr_linear(indptr, indices, values, x).backward(flow)
    (x.detach().double() @ dense.T).backward(flow.double())
    row = torch.repeat_interleave(indptr.diff())
    torch.testing.assert_close(values.grad.double(), dense.grad[row, indices.long()], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(x.grad.double(), flow.double() @ dense.detach(), rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 2, 5, 64, 70])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_infinity_go_where_their_entries_lead_and_nowhere_else(batch, poison):
    x = torch.ones(batch, 3)
    x[-1, 1] = poison
    out = csr_linear(INDPTR, INDICES, VALUES, x)
    torch.testing.assert_close(out[-1, 2], torch.tensor(poison), equal_nan=True)
    assert torch.equal(csr_matmul(INDPTR, INDICES, VALUES, x.T).T.nan_to_num(), out.nan_to_num())
    out[-1, 2] = 0
    assert out.isfinite().all()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 5, 9, 70])
@pytest.mark.parametrize(("stored", "dtype"), HALVES)
def test_bfloat16_is_summed_in_float32_and_rounded_once(batch, stored, dtype):
    indptr, indices = power_law(60, 900)
    values, bias = normal(900).to(stored), normal(60, seed=6).to(dtype)
    x = normal(batch, 60, seed=5).to(dtype)
    expected = (x.double() @ to_dense(indptr, indices, 60, values).T + bias.double()).relu()
    close = {"rtol": 1 / 256 if dtype is torch.bfloat16 else 1e-5, "atol": 1e-4}
    for out in (
        csr_linear(indptr, indices, values, x, bias, relu=True),
        csr_linear_reference(indptr, indices, values, x, bias, relu=True),
        csr_matmul(indptr, indices, values, x.T.contiguous(), bias, relu=True).T,
    ):
        assert out.dtype is dtype
        torch.testing.assert_close(out.double(), expected, **close)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 20, 70, 140])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_matrix_wider_than_a_slice(batch, ordered):
    weight = normal(90, 4000) * (torch.rand(90, 4000, generator=torch.Generator().manual_seed(3)) < 0.1)
    indptr, indices, values = csr_arrays(weight)
    if not ordered:  # backwards within each row, which the kernel must notice
        order = torch.cat([torch.arange(int(b) - 1, int(a) - 1, -1) for a, b in itertools.pairwise(indptr)])
        indices, values = indices[order], values[order]
    x, bias = normal(batch, 4000, seed=5), normal(90, seed=6)
    expected = (x.double() @ weight.double().T + bias).relu()
    out = csr_linear(indptr, indices, values, x, bias, relu=True)
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-3)
    out = csr_matmul(indptr, indices, values, x.T.contiguous(), bias, relu=True)
    torch.testing.assert_close(out.double(), expected.T, rtol=1e-4, atol=1e-3)


def test_a_transposed_batch_is_used_as_it_lies():
    columns, bias = normal(3, 9), normal(4, seed=6)
    out = csr_linear(INDPTR, INDICES, VALUES, columns.T, bias, relu=True)
    assert out.T.is_contiguous()
    torch.testing.assert_close(out, csr_linear(INDPTR, INDICES, VALUES, columns.T.contiguous(), bias, relu=True))


@pytest.mark.usefixtures("isa")
def test_relu_keeps_nan():
    out = csr_linear(INDPTR, INDICES, VALUES, torch.full((2, 3), float("nan")), relu=True)
    assert out.isnan().sum() == out.numel() - 2 * int((INDPTR.diff() == 0).sum())


@pytest.mark.usefixtures("isa")
def test_subnormal_numbers_are_zero_inside():
    for batch in (1, 20):
        assert not csr_linear(INDPTR, INDICES, VALUES, torch.full((batch, 3), 1e-40)).any()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 2, 70])
@pytest.mark.parametrize("bad", [-1, 3, 2**31 - 1])
def test_an_index_out_of_range_is_an_error_and_not_a_crash(batch, bad):
    indices = INDICES.clone().int()
    indices[3] = bad
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 3\)"):
        csr_linear(INDPTR, indices, VALUES, normal(batch, 3))
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 3\)"):
        csr_matmul(INDPTR, indices, VALUES, normal(3, batch))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indptr": INDPTR.int()}, "indptr: expected int64"),
        ({"values": VALUES[:3]}, r"values: expected shape \(5,\)"),
        ({"values": VALUES.double()}, "values: expected the dtype of x, float32"),
        ({"x": torch.ones(())}, "x: expected shape"),
        ({"x": torch.ones(3, dtype=torch.int64)}, "x: expected a floating-point dtype"),
        ({"bias": torch.ones(3)}, r"bias: expected shape \(4,\)"),
        ({"bias": torch.ones(4).double()}, "bias: expected the dtype of x"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    arguments = {"indptr": INDPTR, "indices": INDICES, "values": VALUES, "x": torch.ones(2, 3)} | changes
    with pytest.raises(DataError, match=message):
        csr_linear(**arguments)


def test_columns_must_be_a_matrix():
    with pytest.raises(DataError, match=r"x: expected shape \(columns of the matrix, batch\), found float32 of shape"):
        csr_matmul(INDPTR, INDICES, VALUES, torch.ones(3))


def test_operators_are_registered_soundly():
    values, x = VALUES.clone().requires_grad_(), normal(2, 3).requires_grad_()
    torch.library.opcheck(CSR_PRODUCT, (INDPTR, INDICES, values, x, normal(4).requires_grad_(), True, True))
    torch.library.opcheck(CSR_PRODUCT, (INDPTR, INDICES, values, normal(3, 2).requires_grad_(), None, False, False))
