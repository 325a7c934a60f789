from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import block_linear, block_matmul, from_blocks, native, to_blocks
from gossamer.kernels.block_gradients import (
    BLOCK_INPUT,
    BLOCK_VALUES,
    block_input_reference,
    block_values_reference,
)
from tests.kernels.patterns import WIDTHS, normal
from tests.kernels.test_block_matmul import matrix

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")


def turned(by_example, *arrays):
    """Gives arrays with one row an example the layout asked for."""
    return [array if by_example else array.T.contiguous() for array in arrays]


def test_worked_example():
    weight = torch.zeros(16, 2)
    weight[0, 1], weight[15, 1] = 2.0, 3.0
    indptr, columns, values = to_blocks(weight)
    flow, x = torch.arange(16.0)[None], torch.tensor([[5.0, 7.0]])
    assert BLOCK_INPUT(indptr, columns, values, flow, 2, True).tolist() == [[0.0, 45.0]]
    assert BLOCK_VALUES(indptr, columns, flow, x, 16, True).tolist() == [[7.0 * i for i in range(16)]]


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(0, 50), st.integers(0, 40)),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from(WIDTHS),
    st.booleans(),
    st.sampled_from([16, 8]),
)
def test_native_and_reference_are_the_definition(shape, kept, batch, by_example, height):
    rows, width = shape
    weight = matrix(rows, width, kept, height=height)
    flow, x = normal(batch, rows, seed=3), normal(batch, width, seed=5)
    indptr, columns, values = to_blocks(weight, height)
    wanted_input = turned(by_example, flow.double() @ weight.double())[0]
    wanted_values = (flow.double().T @ x.double()) * (weight != 0)
    flow, x = turned(by_example, flow, x)
    for call in (BLOCK_INPUT, block_input_reference):
        got = call(indptr, columns, values, flow, width, by_example)
        torch.testing.assert_close(got.double(), wanted_input, rtol=1e-5, atol=1e-4)
    for call in (BLOCK_VALUES, block_values_reference):
        got = call(indptr, columns, flow, x, height, by_example)
        assert got.shape == values.shape
        dense = from_blocks(indptr, columns, got, rows, width)
        torch.testing.assert_close(dense.double(), wanted_values, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("by_example", [True, False])
@pytest.mark.parametrize("batch", WIDTHS)
@pytest.mark.parametrize(("index", "height"), [(torch.int32, 16), (torch.int64, 16), (torch.int32, 8)])
def test_every_batch_on_every_instruction_set(batch, index, height, by_example):
    weight = matrix(45, 37, height=height)
    flow, x = normal(batch, 45, seed=3), normal(batch, 37, seed=5)
    indptr, columns, values = to_blocks(weight, height)
    wanted = (flow.double().T @ x.double()) * (weight != 0)
    (wanted_input,) = turned(by_example, flow.double() @ weight.double())
    flow, x = turned(by_example, flow, x)
    got = BLOCK_INPUT(indptr, columns.to(index), values, flow, 37, by_example)
    torch.testing.assert_close(got.double(), wanted_input, rtol=1e-5, atol=1e-4)
    values = BLOCK_VALUES(indptr, columns.to(index), flow, x, height, by_example)
    got = from_blocks(indptr, columns, values, 45, 37)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
def test_more_panels_than_stay_in_cache():
    weight, flow, x = matrix(20, 7000, 0.1), normal(70, 20, seed=3), normal(70, 7000, seed=5)
    indptr, columns, _ = to_blocks(weight)
    got = from_blocks(indptr, columns, BLOCK_VALUES(indptr, columns, flow, x, 16, True), 20, 7000)
    torch.testing.assert_close(got, (flow.T @ x) * (weight != 0), rtol=1e-4, atol=1e-3)


@needs_kernels
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_number_of_threads_changes_no_bit(isa, threads, batch):
    indptr, columns, values = to_blocks(matrix(300, 200))
    flow, x = normal(batch, 300, seed=3), normal(batch, 200, seed=5)
    inputs, grads = [], []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        inputs.append(BLOCK_INPUT(indptr, columns, values, flow, 200, True))
        grads.append(BLOCK_VALUES(indptr, columns, flow, x, 16, True))
    assert all(torch.equal(inputs[0], other) for other in inputs[1:])
    assert all(torch.equal(grads[0], other) for other in grads[1:])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_infinity_go_where_their_entries_lead_and_nowhere_else(poison):
    weight = torch.zeros(32, 3)
    weight[:16, 0], weight[16:, 1] = 1.0, 1.0
    indptr, columns, values = to_blocks(weight)
    flow = torch.ones(5, 32)
    flow[-1, 20] = poison
    got = BLOCK_INPUT(indptr, columns, values, flow, 3, True)
    torch.testing.assert_close(got[-1, 1], torch.tensor(poison), equal_nan=True)
    got[-1, 1] = 0
    assert got.isfinite().all()
    got = BLOCK_VALUES(indptr, columns, flow, torch.ones(5, 3), 16, True)
    torch.testing.assert_close(got[1, 4], torch.tensor(poison), equal_nan=True)
    got[1, 4] = 0
    assert got.isfinite().all()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("bad", [-1, 3, 2**31 - 1])
def test_a_column_out_of_range_is_an_error_and_not_a_crash(bad):
    indptr, columns = torch.tensor([0, 2]), torch.tensor([0, bad], dtype=torch.int32)
    with pytest.raises(DataError, match=r"columns: holds values outside \[0, 3\)"):
        BLOCK_INPUT(indptr, columns, normal(2, 16), normal(4, 16), 3, True)
    with pytest.raises(DataError, match=r"columns: holds values outside \[0, 3\)"):
        BLOCK_VALUES(indptr, columns, normal(4, 16), normal(4, 3), 16, True)


@pytest.mark.usefixtures("isa")
def test_subnormal_numbers_are_zero_inside():
    indptr, columns, values = to_blocks(torch.ones(16, 3))
    tiny = torch.full((5, 16), 1e-40)
    assert not BLOCK_INPUT(indptr, columns, values, tiny, 3, True).any()
    assert not BLOCK_VALUES(indptr, columns, tiny, torch.ones(5, 3), 16, True).any()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 7, 40])
@pytest.mark.parametrize("height", [16, 8])
@pytest.mark.parametrize("relu", [False, True])
def test_gradients_of_the_layer_equal_dense_ones(batch, height, relu):
    weight = matrix(37, 45, height=height)
    indptr, columns, values = to_blocks(weight, height)
    values.requires_grad_()
    x, flow = normal(batch, 45, seed=1).requires_grad_(), normal(batch, 37, seed=2)
    bias = normal(37).requires_grad_()
    out = block_linear(indptr, columns, values, x, 37, bias, relu)
    out.backward(flow)
    flow = flow * (out > 0) if relu else flow
    torch.testing.assert_close(x.grad, flow @ weight, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(bias.grad, flow.sum(0))
    dense = from_blocks(indptr, columns, values.grad, 37, 45)
    torch.testing.assert_close(dense, (flow.T @ x.detach()) * (weight != 0), rtol=1e-5, atol=1e-4)
    again = [values.grad, x.grad]
    values.grad = x.grad = None
    block_matmul(indptr, columns, values, x.T, 37, bias).backward(flow.T)
    for got, wanted in zip([values.grad, x.grad], again, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-4)


def test_operators_are_registered_soundly():
    indptr, columns, values = to_blocks(matrix(20, 3, 0.7))
    flow, x = normal(2, 20).requires_grad_(), normal(2, 3).requires_grad_()
    torch.library.opcheck(BLOCK_INPUT, (indptr, columns, values.requires_grad_(), flow, 3, True))
    torch.library.opcheck(BLOCK_VALUES, (indptr, columns, flow, x, 16, True))
    torch.library.opcheck(BLOCK_VALUES, (indptr, columns, normal(20, 2), normal(3, 2), 16, False))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("height", [16, 8])
def test_gradients_of_bfloat16_are_rounded_once(height):
    weight = matrix(37, 45, height=height).bfloat16()
    indptr, columns, values = to_blocks(weight, height)
    flow, x = normal(9, 37, seed=3).bfloat16(), normal(9, 45, seed=5).bfloat16()
    got = BLOCK_INPUT(indptr, columns, values, flow, 45, True)
    assert got.dtype is torch.bfloat16
    torch.testing.assert_close(got.double(), flow.double() @ weight.double(), rtol=1 / 256, atol=1e-4)
    got = from_blocks(indptr, columns, BLOCK_VALUES(indptr, columns, flow, x, height, True), 37, 45)
    wanted = (flow.double().T @ x.double()) * (weight != 0)
    torch.testing.assert_close(got.double(), wanted, rtol=1 / 256, atol=1e-4)
