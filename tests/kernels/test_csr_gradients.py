from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.csr_gradients import CSR_INPUT, CSR_VALUES, csr_input_reference, csr_values_reference
from tests.kernels.patterns import WIDTHS, normal, patterns, power_law, to_dense

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")
INDPTR, INDICES = torch.tensor([0, 2, 2, 3]), torch.tensor([0, 1, 1])


def wanted(indptr, indices, flow, x):
    """The dense product, read at the entries; `flow` and `x` have one row an example."""
    row = torch.repeat_interleave(indptr.diff())
    return (flow.double().T @ x.double())[row, indices.long()]


def test_worked_example():
    flow, x = torch.tensor([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]])
    assert CSR_VALUES(INDPTR, INDICES, flow, x, True).tolist() == [13.0, 16.0, 1600.0]


@settings(deadline=None, max_examples=60)
@given(patterns(), st.sampled_from(WIDTHS), st.booleans())
def test_native_and_reference_are_the_definition(pattern, batch, by_example):
    indptr, indices, columns = pattern
    flow, x = normal(batch, indptr.shape[0] - 1, seed=1), normal(batch, columns, seed=2)
    expected = wanted(indptr, indices, flow, x)
    if not by_example:
        flow, x = flow.T, x.T
    for call in (CSR_VALUES, csr_values_reference):
        got = call(indptr, indices, flow, x, by_example)
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(patterns(), st.sampled_from(WIDTHS), st.booleans(), st.sampled_from([torch.float32, torch.bfloat16]))
def test_the_inputs_gradient_is_a_product_with_the_transpose(pattern, batch, by_example, dtype):
    indptr, indices, columns = pattern
    flow = normal(batch, indptr.shape[0] - 1, seed=1).to(dtype)
    values = normal(indices.shape[0], seed=2).to(dtype)
    expected = flow.double() @ to_dense(indptr, indices, columns, values)
    if not by_example:
        flow, expected = flow.T, expected.T
    for call in (CSR_INPUT, csr_input_reference):
        got = call(indptr, indices, values, flow, columns, by_example)
        assert got.dtype is dtype
        close = {"rtol": 1 / 256, "atol": 1e-2} if dtype is torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-4}
        torch.testing.assert_close(got.double(), expected, **close)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("by_example", [True, False])
@pytest.mark.parametrize("batch", WIDTHS)
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_every_batch_on_every_instruction_set(batch, index, by_example):
    indptr, indices = power_law(37, 300, seed=batch)
    flow, x = normal(batch, 37, seed=1), normal(batch, 37, seed=2)
    expected = wanted(indptr, indices, flow, x)
    if not by_example:
        flow, x = flow.T.contiguous(), x.T.contiguous()
    got = CSR_VALUES(indptr, indices.to(index), flow, x, by_example)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-4)


@needs_kernels
@pytest.mark.parametrize("batch", [1, 3, 300])
def test_the_number_of_threads_changes_no_bit(isa, threads, batch):
    indptr, indices = power_law(300, 90_000)
    flow, x = normal(batch, 300, seed=1), normal(batch, 300, seed=2)
    found = []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        found.append(CSR_VALUES(indptr, indices, flow, x, True))
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_infinity_go_where_their_entries_lead_and_nowhere_else(poison):
    flow, x = torch.ones(5, 3), torch.ones(5, 2)
    x[-1, 0] = poison
    got = CSR_VALUES(INDPTR, INDICES, flow, x, True)
    torch.testing.assert_close(got, torch.tensor([poison, 5.0, 5.0]), equal_nan=True)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("bad", [-1, 2, 2**31 - 1])
def test_an_index_out_of_range_is_an_error_and_not_a_crash(bad):
    indices = torch.tensor([0, bad, 1], dtype=torch.int32)
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 2\)"):
        CSR_VALUES(INDPTR, indices, normal(4, 3), normal(4, 2), True)
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 2\)"):
        CSR_INPUT(INDPTR, indices, normal(3), normal(4, 3), 2, True)


@pytest.mark.usefixtures("isa")
def test_subnormal_numbers_are_zero_inside():
    assert not CSR_VALUES(INDPTR, INDICES, torch.full((5, 3), 1e-40), torch.ones(5, 2), True).any()


@pytest.mark.parametrize("by_example", [True, False])
def test_gradients_to_second_order(by_example):
    flow, x = normal(2, 3).double(), normal(2, 2, seed=1).double()
    arrays = (flow, x) if by_example else (flow.T.contiguous(), x.T.contiguous())
    inputs = tuple(array.requires_grad_() for array in arrays)
    call = lambda f, x: CSR_VALUES(INDPTR, INDICES, f, x, by_example)  # noqa: E731
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


@pytest.mark.parametrize("by_example", [True, False])
def test_gradients_of_the_inputs_gradient(by_example):
    values, flow = normal(3).double().requires_grad_(), normal(2, 3, seed=1).double()
    flow = (flow if by_example else flow.T.contiguous()).requires_grad_()
    call = lambda v, f: CSR_INPUT(INDPTR, INDICES, v, f, 2, by_example)  # noqa: E731
    assert torch.autograd.gradcheck(call, (values, flow))
    assert torch.autograd.gradgradcheck(call, (values, flow))


def test_operators_are_registered_soundly():
    flow, x = normal(2, 3).requires_grad_(), normal(2, 2).requires_grad_()
    torch.library.opcheck(CSR_INPUT, (INDPTR, INDICES, normal(3).requires_grad_(), flow, 2, True))
    torch.library.opcheck(CSR_INPUT, (INDPTR, INDICES, normal(3), normal(3, 2), 2, False))
    torch.library.opcheck(CSR_VALUES, (INDPTR, INDICES, flow, x, True))
    torch.library.opcheck(CSR_VALUES, (INDPTR, INDICES, normal(3, 2), normal(2, 2), False))
