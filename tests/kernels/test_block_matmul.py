from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import (
    block_linear,
    block_linear_reference,
    block_matmul,
    block_matmul_reference,
    from_blocks,
    native,
    to_blocks,
)
from gossamer.kernels.block_matmul import BLOCK_PRODUCT
from tests.kernels.patterns import HALVES, WIDTHS, normal

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")


def matrix(rows: int, columns: int, kept: float = 0.4, seed: int = 0, height: int = 16) -> Tensor:
    """Returns a dense matrix whose groups of `height` rows share their zero columns."""
    generator = torch.Generator().manual_seed(seed)
    blocks = -(-rows // height)
    mask = torch.rand(blocks, 1, columns, generator=generator) < kept
    return (normal(blocks, height, columns, seed=seed + 1) * mask).reshape(blocks * height, columns)[:rows]


def test_worked_example():
    weight = torch.zeros(17, 3)
    weight[0, 1], weight[15, 1], weight[16, 2] = 1.0, 2.0, 3.0
    blocks = to_blocks(weight)
    assert blocks.indptr.tolist() == [0, 1, 2]
    assert blocks.columns.tolist() == [1, 2]
    assert blocks.values.tolist() == [[1.0] + [0.0] * 14 + [2.0], [3.0] + [0.0] * 15]
    out = block_linear(*blocks, torch.tensor([5.0, 6.0, 7.0]), 17)
    assert out.tolist() == [6.0] + [0.0] * 14 + [12.0, 21.0]


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(0, 50), st.integers(0, 40)),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from(WIDTHS),
    st.booleans(),
    st.booleans(),
    st.sampled_from([16, 8]),
)
def test_native_and_reference_are_the_definition(shape, kept, batch, with_bias, relu, height):  # noqa: PLR0917
    rows, columns = shape
    weight, x = matrix(rows, columns, kept, height=height), normal(batch, columns, seed=5)
    bias = normal(rows, seed=6) if with_bias else None
    blocks = to_blocks(weight, height)
    assert torch.equal(from_blocks(*blocks, rows, columns), weight)
    expected = x.double() @ weight.double().T + (0 if bias is None else bias)
    expected = expected.relu() if relu else expected
    for linear in (block_linear, block_linear_reference):
        out = linear(*blocks, x, rows, bias, relu)
        torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-4)
    for matmul in (block_matmul, block_matmul_reference):
        out = matmul(*blocks, x.T, rows, bias, relu)
        torch.testing.assert_close(out.double(), expected.T, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", WIDTHS)
@pytest.mark.parametrize(("index", "height"), [(torch.int32, 16), (torch.int64, 16), (torch.int32, 8)])
def test_every_batch_on_every_instruction_set(batch, index, height):
    weight, x, bias = matrix(45, 37, height=height), normal(batch, 37, seed=5), normal(45, seed=6)
    indptr, columns, values = to_blocks(weight, height)
    expected = x.double() @ weight.double().T
    out = block_linear(indptr, columns.to(index), values, x, 45, bias)
    torch.testing.assert_close(out.double(), expected + bias, rtol=1e-5, atol=1e-4)
    out = block_matmul(indptr, columns.to(index), values, x.T.contiguous(), 45)
    torch.testing.assert_close(out.double(), expected.T, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
def test_more_panels_than_stay_in_cache():
    weight, x = matrix(20, 5000, 0.1), normal(70, 5000, seed=5)
    expected = x.double() @ weight.double().T
    out = block_linear(*to_blocks(weight), x, 20)
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-3)


@needs_kernels
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_number_of_threads_changes_no_bit(isa, threads, batch):
    blocks = to_blocks(matrix(300, 200))
    x, bias = normal(batch, 200, seed=5), normal(300, seed=6)
    linear, matmul = [], []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        linear.append(block_linear(*blocks, x, 300, bias))
        matmul.append(block_matmul(*blocks, x.T, 300))
    assert all(torch.equal(linear[0], other) for other in linear[1:])
    assert all(torch.equal(matmul[0], other) for other in matmul[1:])


def test_leading_dimensions_are_kept():
    blocks, x = to_blocks(matrix(20, 3)), normal(2, 5, 3)
    out = block_linear(*blocks, x, 20)
    assert out.shape == (2, 5, 20)
    torch.testing.assert_close(out[1, 2], block_linear(*blocks, x[1, 2], 20))


def test_columns_that_a_block_lists_twice_add_up():
    indptr, columns, values = torch.tensor([0, 2]), torch.tensor([1, 1]), normal(2, 16)
    expected = values.sum(0)
    torch.testing.assert_close(from_blocks(indptr, columns, values, 16, 2)[:, 1], expected)
    torch.testing.assert_close(block_linear(indptr, columns, values, torch.tensor([0.0, 1.0]), 16), expected)


def test_gradients():
    indptr, columns, values = to_blocks(matrix(17, 2, 0.9).double())
    values, bias = values.requires_grad_(), normal(17).double().requires_grad_()
    x = normal(2, 2, seed=5).double().requires_grad_()
    for call, inputs in (
        (lambda v, x, b: block_linear(indptr, columns, v, x, 17, b), (values, x, bias)),
        (lambda v, x: block_matmul(indptr, columns, v, x.T, 17), (values, x)),
        (lambda v, x, b: block_linear(indptr, columns, v, x, 17, b, relu=True), (values, x, bias)),
    ):
        assert torch.autograd.gradcheck(call, inputs)
        assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 7, 30])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_infinity_go_where_their_entries_lead_and_nowhere_else(batch, poison):
    weight = torch.zeros(32, 3)
    weight[:16, 0], weight[16:, 1] = 1.0, 1.0
    x = torch.ones(batch, 3)
    x[-1, 1] = poison
    out = block_linear(*to_blocks(weight), x, 32)
    torch.testing.assert_close(out[-1, 16:], torch.full((16,), poison), equal_nan=True)
    assert out[-1, :16].isfinite().all()
    assert out[:-1].isfinite().all()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 3, 8, 9, 40])
@pytest.mark.parametrize("height", [16, 8])
@pytest.mark.parametrize(("stored", "dtype"), HALVES)
def test_bfloat16_is_summed_in_float32_and_rounded_once(batch, height, stored, dtype):
    weight = matrix(45, 37, height=height).to(stored)
    x, bias = normal(batch, 37, seed=5).to(dtype), normal(45, seed=6).to(dtype)
    blocks = to_blocks(weight, height)
    expected = (x.double() @ weight.double().T + bias.double()).relu()
    close = {"rtol": 1 / 256 if dtype is torch.bfloat16 else 1e-5, "atol": 1e-4}
    for out in (
        block_linear(*blocks, x, 45, bias, relu=True),
        block_linear_reference(*blocks, x, 45, bias, relu=True),
        block_matmul(*blocks, x.T.contiguous(), 45, bias, relu=True).T,
    ):
        assert out.dtype is dtype
        torch.testing.assert_close(out.double(), expected, **close)


def test_gradients_of_bfloat16_have_the_dtypes_of_what_they_are_for():
    indptr, columns, values = to_blocks(matrix(20, 7).bfloat16())
    x, flow = normal(5, 7).requires_grad_(), normal(5, 20)
    values.requires_grad_()
    block_linear(indptr, columns, values, x, 20).backward(flow)
    assert values.grad.dtype is torch.bfloat16
    dense = from_blocks(indptr, columns, values.detach(), 20, 7).float()
    torch.testing.assert_close(x.grad, flow @ dense, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("relu", [False, True])
def test_a_transposed_batch_is_used_as_it_lies(relu):
    blocks, bias, columns = to_blocks(matrix(45, 37)), normal(45), normal(37, 9)
    out = block_linear(*blocks, columns.T, 45, bias, relu)
    assert out.T.is_contiguous()
    torch.testing.assert_close(out, block_linear(*blocks, columns.T.contiguous(), 45, bias, relu))


@pytest.mark.usefixtures("isa")
def test_relu_keeps_nan():
    x = torch.tensor([[float("nan")], [-1.0], [2.0]])
    out = block_linear(*to_blocks(torch.ones(16, 1)), x, 16, relu=True)
    assert out[0].isnan().all()
    assert out[1:, 0].tolist() == [0.0, 2.0]


@pytest.mark.usefixtures("isa")
def test_subnormal_numbers_are_zero_inside():
    for batch in (1, 30):
        assert not block_linear(*to_blocks(torch.ones(16, 3)), torch.full((batch, 3), 1e-40), 16).any()


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("batch", [1, 30])
@pytest.mark.parametrize("bad", [-1, 3, 2**31 - 1])
def test_a_column_out_of_range_is_an_error_and_not_a_crash(batch, bad):
    columns = torch.tensor([0, bad], dtype=torch.int32)
    with pytest.raises(DataError, match=r"columns: holds values outside \[0, 3\)"):
        block_linear(torch.tensor([0, 2]), columns, normal(2, 16), normal(batch, 3), 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": torch.ones(2)}, "columns: expected int32 or int64"),
        (
            {"values": torch.ones(2, 4)},
            r"values: expected shape \(2, 16\) or \(2, 8\), found float32 of shape \(2, 4\)",
        ),
        ({"values": torch.ones(2, 8)}, "rows: 15 rows make 2 blocks of 8, but indptr holds 1"),
        ({"values": torch.ones(2, 16).half()}, "values: expected the dtype of x, float32, found float16"),
        ({"values": torch.ones(2, 16).double()}, "values: expected the dtype of x, float32"),
        ({"x": torch.ones(())}, "x: expected shape"),
        ({"rows": 17}, "rows: 17 rows make 2 blocks of 16, but indptr holds 1"),
        ({"rows": -1}, "rows: -1 rows"),
        ({"bias": torch.ones(16)}, r"bias: expected shape \(15,\)"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    arguments = {
        "indptr": torch.tensor([0, 2]),
        "columns": torch.tensor([0, 2]),
        "values": torch.ones(2, 16),
        "x": torch.ones(2, 3),
        "rows": 15,
    } | changes
    with pytest.raises(DataError, match=message):
        block_linear(**arguments)


def test_shapes_of_matrices_are_checked():
    blocks = to_blocks(torch.ones(16, 3))
    with pytest.raises(DataError, match=r"x: expected shape \(columns of the matrix, batch\)"):
        block_matmul(*blocks, torch.ones(3), 16)
    with pytest.raises(DataError, match=r"dense: expected a matrix, found float32 of shape \(3,\)"):
        to_blocks(torch.ones(3))
    with pytest.raises(DataError, match="rows: expected blocks of 16 or 8 rows, found 4"):
        to_blocks(torch.ones(3, 3), 4)


def test_operators_are_registered_soundly():
    indptr, columns, values = to_blocks(matrix(20, 3, 0.7))
    values = values.requires_grad_()
    x, bias = normal(2, 3).requires_grad_(), normal(20).requires_grad_()
    torch.library.opcheck(BLOCK_PRODUCT, (indptr, columns, values, x, 20, bias, True, True))
    x = normal(3, 2).requires_grad_()
    torch.library.opcheck(BLOCK_PRODUCT, (indptr, columns, values, x, 20, None, False, False))
