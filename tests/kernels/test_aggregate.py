from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import (
    Transpose,
    aggregate,
    aggregate_reference,
    edge_dot,
    edge_dot_reference,
    native,
    transpose_csr,
)
from gossamer.kernels.aggregate import AGGREGATE, EDGE_DOT
from tests.kernels.patterns import WIDTHS, normal, patterns, power_law, to_dense

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")
INDPTR, INDICES = torch.tensor([0, 2, 2, 3, 5]), torch.tensor([0, 2, 1, 2, 2])


def by_hand(indptr: Tensor, indices: Tensor, x: Tensor, weights: Tensor | None) -> Tensor:
    """The definition, one dense float64 product a head."""
    heads = x[:, None] if x.dim() == 2 else x
    columns = []
    for head in range(heads.shape[1]):
        values = weights[:, head] if weights is not None and weights.dim() == 2 else weights
        columns.append(to_dense(indptr, indices, x.shape[0], values) @ heads[:, head].double())
    out = torch.stack(columns, 1) if columns else torch.zeros(indptr.shape[0] - 1, *heads.shape[1:])
    return out.reshape(indptr.shape[0] - 1, *x.shape[1:])


def test_worked_example():
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    weights = torch.tensor([1.0, -1.0, 2.0, 0.5, 0.5])
    out = aggregate(INDPTR, INDICES, x, weights)
    assert out.tolist() == [[-2.0, -20.0], [0.0, 0.0], [4.0, 40.0], [3.0, 30.0]]


@settings(deadline=None, max_examples=40)
@given(
    patterns(20),
    st.sampled_from(WIDTHS),
    st.sampled_from([None, 0, 1, 3]),
    st.sampled_from(["ones", "edges", "heads"]),
)
def test_reference_is_the_definition(pattern, width, heads, kind):
    check_against_the_definition(aggregate_reference, pattern, width, heads, kind)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("heads", [None, 3])
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_every_width_on_every_instruction_set(width, heads, index):
    indptr, indices = power_law(30, 200, seed=width)
    x = normal(30, width, seed=1) if heads is None else normal(30, heads, width, seed=1)
    for weights in (None, normal(200, seed=2), normal(200, 3, seed=3))[: 2 if heads is None else 3]:
        out = aggregate(indptr, indices.to(index), x, weights)
        reference = aggregate_reference(indptr, indices, x.double(), None if weights is None else weights.double())
        torch.testing.assert_close(out.double(), reference, rtol=1e-5, atol=1e-4)


@settings(deadline=None, max_examples=80)
@given(
    patterns(20),
    st.sampled_from(WIDTHS),
    st.sampled_from([None, 0, 1, 3]),
    st.sampled_from(["ones", "edges", "heads"]),
)
def test_native_is_the_definition(pattern, width, heads, kind):
    check_against_the_definition(aggregate, pattern, width, heads, kind)


def check_against_the_definition(function, pattern, width, heads, kind):
    indptr, indices, columns = pattern
    x = normal(columns, width) if heads is None else normal(columns, heads, width)
    weights = normal(indices.shape[0], seed=1) if kind == "edges" else None
    if kind == "heads" and heads is not None:
        weights = normal(indices.shape[0], heads, seed=1)
    out = function(indptr, indices, x, weights)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double(), by_hand(indptr, indices, x, weights).double(), rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", [1, 5, 16, 40, 64, 100])
def test_edge_dot_on_every_instruction_set(width):
    indptr, indices = power_law(30, 200)
    left, right = normal(30, 2, width), normal(30, 2, width, seed=1)
    for heads in (False, True):
        got = edge_dot(indptr, indices, left, right, heads=heads)
        expected = edge_dot_reference(indptr, indices, left.double(), right.double(), heads)
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
def test_weights_are_found_through_edge():
    indptr, indices = power_law(30, 200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    x, weights = normal(30, 20), normal(200, seed=1)
    direct = aggregate(indptr, indices, x, weights[order])
    assert torch.equal(AGGREGATE(indptr, indices, x, weights, order, None, None, None), direct)
    assert torch.equal(AGGREGATE(indptr, indices.long(), x, weights, order.int(), None, None, None), direct)


@needs_kernels
@pytest.mark.parametrize("width", [1, 20, 128, 700])
def test_the_number_of_threads_changes_no_bit(isa, threads, width):
    # Row 0 holds a third of the entries, many pieces' worth; the rows at the end are empty.
    indptr, indices = power_law(500, 60_000)
    indptr = torch.cat([indptr, indptr[-1:].expand(3000)])
    x, weights = normal(500, width), normal(60_000, seed=1)
    left = normal(3500, width, seed=2)
    sums, dots = [], []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        sums.append(aggregate(indptr, indices, x, weights))
        dots.append(edge_dot(indptr, indices, left, x))
    assert all(torch.equal(sums[0], other) for other in sums[1:])
    assert all(torch.equal(dots[0], other) for other in dots[1:])
    expected = aggregate_reference(indptr, indices, x.double(), weights.double())
    torch.testing.assert_close(sums[0].double(), expected, rtol=1e-4, atol=1e-2)
    assert not sums[0][500:].any()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shapes", [((3, 2), (5,)), ((3, 2, 2), (5,)), ((3, 2, 2), (5, 2))])
def test_gradients_to_second_order(transposed, shapes):
    x, weights = (normal(*shape).double().requires_grad_() for shape in shapes)
    there = transpose_csr(INDPTR, INDICES, 3) if transposed else None

    def call(x: Tensor, weights: Tensor) -> Tensor:
        return aggregate(INDPTR, INDICES, x, weights, there)

    assert torch.autograd.gradcheck(call, (x, weights))
    assert torch.autograd.gradgradcheck(call, (x, weights))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True)])
def test_native_gradients_equal_those_of_the_reference(needs):
    indptr, indices = power_law(30, 200)
    there = transpose_csr(indptr, indices, 30)
    inputs = normal(30, 3, 20), normal(200, 3, seed=1)
    mine = [value.clone().requires_grad_(need) for value, need in zip(inputs, needs, strict=True)]
    reference = [value.double().requires_grad_(need) for value, need in zip(inputs, needs, strict=True)]
    flow = normal(30, 3, 20, seed=2)
    aggregate(indptr, indices, *mine, there).backward(flow)
    aggregate_reference(indptr, indices, *reference).backward(flow.double())
    for got, expected in zip(mine, reference, strict=True):
        if expected.grad is None:
            assert got.grad is None
        else:
            torch.testing.assert_close(got.grad.double(), expected.grad, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", [1, 7, 17, 64])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_infinity_go_where_their_entries_lead_and_nowhere_else(width, poison):
    x = torch.ones(3, width)
    x[1, -1] = poison
    out = aggregate(INDPTR, INDICES, x)
    torch.testing.assert_close(out[2, -1], torch.tensor(poison), equal_nan=True)
    assert out[:, :-1].isfinite().all()
    assert out[[0, 1, 3]].isfinite().all()
    dots = edge_dot(INDPTR, INDICES, torch.full((4, width), 2.0), x)
    torch.testing.assert_close(dots[2], torch.tensor(poison), equal_nan=True)
    assert dots[[0, 1, 3, 4]].tolist() == [2.0 * width] * 4


@needs_kernels
def test_subnormal_numbers_are_zero_inside_and_the_callers_mode_is_kept(isa, threads):
    tiny = torch.full((3, 20), 1e-40)
    for count in (1, 2):
        torch.set_num_threads(count)
        assert not aggregate(INDPTR, INDICES, tiny).any()
        assert not aggregate(INDPTR, INDICES, torch.full((3, 20), 1e-30), torch.full((5,), 1e-10)).any()
        assert (tiny + 0).all()


def test_bfloat16_and_float64_take_the_reference():
    for dtype in (torch.bfloat16, torch.float64):
        out = aggregate(INDPTR, INDICES, torch.ones(3, 2, dtype=dtype))
        assert out.dtype == dtype
        assert out[:, 0].tolist() == [2, 0, 1, 2]


def test_strided_inputs():
    x, weights = normal(3, 8).T.contiguous().T[:, ::2], normal(10)[::2]
    indptr, indices = torch.stack([INDPTR, INDPTR], 1)[:, 0], torch.stack([INDICES, INDICES], 1)[:, 1]
    expected = aggregate(INDPTR, INDICES, x.contiguous(), weights.contiguous())
    assert torch.equal(aggregate(indptr, indices, x, weights), expected)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("bad", [-1, 3, 2**31 - 1])
def test_an_index_out_of_range_is_an_error_and_not_a_crash(bad):
    indices = INDICES.clone().int()
    indices[3] = bad
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 3\)"):
        aggregate(INDPTR, indices, normal(3, 20))
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 3\)"):
        edge_dot(INDPTR, indices, normal(4, 20), normal(3, 20))
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 0\)"):
        aggregate(INDPTR, INDICES, normal(0, 20))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indptr": INDPTR.int()}, "indptr: expected int64"),
        ({"indices": INDICES.float()}, "indices: expected int32 or int64"),
        ({"x": torch.ones(3)}, r"x: expected shape .* found float32 of shape \(3,\)"),
        ({"x": torch.ones(3, 2, dtype=torch.int64)}, "x: expected a floating-point dtype"),
        ({"x": torch.ones(3, 2, device="meta")}, "x: is on meta"),
        ({"weights": torch.ones(4)}, r"weights: expected shape \(5,\), found float32 of shape \(4,\)"),
        ({"weights": torch.ones(5, 2)}, r"weights: expected shape \(5,\), found float32 of shape \(5, 2\)"),
        ({"x": torch.ones(3, 2, 2), "weights": torch.ones(5, 3)}, r"weights: expected shape \(5,\) or \(5, 2\)"),
        ({"weights": torch.ones(5).double()}, "weights: expected the dtype of x, float32"),
        ({"transpose": Transpose(INDPTR[:3], INDICES, INDICES)}, "transpose: expected 3 rows, .* found 2 and 5"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    arguments = {"indptr": INDPTR, "indices": INDICES, "x": torch.ones(3, 2)} | changes
    with pytest.raises(DataError, match=message):
        aggregate(**arguments)


def test_operators_are_registered_soundly():
    x, weights = normal(3, 2).requires_grad_(), normal(5).requires_grad_()
    there = transpose_csr(INDPTR, INDICES, 3)
    torch.library.opcheck(AGGREGATE, (INDPTR, INDICES, x, weights, None, *there))
    torch.library.opcheck(AGGREGATE, (INDPTR, INDICES, x, None, None, None, None, None))
    torch.library.opcheck(EDGE_DOT, (INDPTR, INDICES, normal(4, 2).requires_grad_(), x, False, *there))


def test_compiles_into_one_graph_with_its_gradient():
    @torch.compile(backend="aot_eager", fullgraph=True)
    def loss(x: Tensor, weights: Tensor) -> Tensor:
        return aggregate(INDPTR, INDICES, x.relu(), weights).square().sum()

    compiled = normal(3, 2).requires_grad_(), normal(5, seed=1).requires_grad_()
    eager = normal(3, 2).requires_grad_(), normal(5, seed=1).requires_grad_()
    loss(*compiled).backward()
    aggregate(INDPTR, INDICES, eager[0].relu(), eager[1]).square().sum().backward()
    for got, expected in zip(compiled, eager, strict=True):
        torch.testing.assert_close(got.grad, expected.grad)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left": torch.ones(3, 2)}, r"left: expected shape .* for 4 rows, found float32 of shape \(3, 2\)"),
        ({"heads": True}, r"left: expected shape \(rows, heads, features\)"),
        ({"right": torch.ones(3, 1)}, r"right: expected the dtype and features of left"),
        ({"right": torch.ones(3, 2).double()}, r"right: expected the dtype and features of left"),
        ({"right": torch.ones(3, 2, device="meta")}, "right: is on meta"),
        ({"transpose": Transpose(INDPTR, INDICES[:2], INDICES)}, "transpose: expected 3 rows, .* found 4 and 2"),
    ],
)
def test_what_is_wrong_with_edge_dot_is_named(changes, message):
    arguments = {"indptr": INDPTR, "indices": INDICES, "left": torch.ones(4, 2), "right": torch.ones(3, 2)} | changes
    with pytest.raises(DataError, match=message):
        edge_dot(**arguments)
