from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import maximum, maximum_reference, native, transpose_csr
from gossamer.kernels.maximum import MAXIMUM, MAXIMUM_BACK
from tests.kernels.patterns import WIDTHS, normal, patterns, power_law

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")
INDPTR, INDICES = torch.tensor([0, 2, 2, 3, 5]), torch.tensor([0, 2, 1, 2, 2])


def test_worked_example():
    out = maximum(INDPTR, INDICES, torch.tensor([[1.0, -4.0], [-2.0, 0.0], [3.0, -5.0]]))
    assert out.tolist() == [[3.0, -4.0], [0.0, 0.0], [-2.0, 0.0], [3.0, -5.0]]


def test_ties_share_the_gradient():
    x = torch.tensor([[1.0], [0.0], [1.0]], requires_grad=True)
    maximum(INDPTR, INDICES, x).sum().backward()
    assert x.grad.tolist() == [[0.5], [1.0], [0.5 + 1.0]]


@settings(deadline=None, max_examples=60)
@given(patterns(20), st.sampled_from(WIDTHS), st.sampled_from([torch.float32, torch.bfloat16, torch.int8]))
def test_native_is_the_definition(pattern, width, dtype):
    indptr, indices, columns = pattern
    x, scale = (normal(columns, width) * 4).round().to(dtype), normal(columns, seed=1).abs()
    out = maximum(indptr, indices, x, source=scale if dtype is torch.int8 else None)
    sent = x.float() * scale[:, None] if dtype is torch.int8 else x.float()
    for row in range(indptr.shape[0] - 1):
        rows = sent[indices[indptr[row] : indptr[row + 1]].long()]
        assert torch.equal(out[row], rows.amax(0) if rows.shape[0] else torch.zeros(width))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("index", [torch.int32, torch.int64])
def test_every_width_forward_and_backward(width, index):
    indptr, indices = power_law(30, 200, seed=width)
    mine = (normal(30, width) * 2).round().requires_grad_()  # rounded: with ties
    its = mine.detach().double().requires_grad_()
    flow = normal(30, width, seed=1)
    got = maximum(indptr, indices.to(index), mine)
    rows = (its[indices[indptr[i] : indptr[i + 1]].long()] for i in range(30))
    expected = torch.stack([row.amax(0) if row.shape[0] else its.new_zeros(width) for row in rows])
    assert torch.equal(maximum_reference(indptr, indices, its.detach())[0], expected)
    assert torch.equal(got.double(), expected)
    got.backward(flow)
    expected.backward(flow.double())  # of amax, which shares among ties
    torch.testing.assert_close(mine.grad.double(), its.grad, rtol=1e-5, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("width", [1, 20, 128])
def test_the_number_of_threads_changes_no_bit(isa, threads, width):
    indptr, indices = power_law(500, 60_000)
    results = []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        x = (normal(500, width) * 2).round().requires_grad_()
        out = maximum(indptr, indices, x)
        out.backward(normal(500, width, seed=1))
        results.append(torch.cat([out.detach(), x.grad]))
    assert all(torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("transposed", [False, True])
def test_gradient(transposed):
    there = transpose_csr(INDPTR, INDICES, 3) if transposed else None
    x = normal(3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: maximum(INDPTR, INDICES, x, transpose=there), (x,))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("width", [1, 17, 64])
def test_nan_is_the_largest_and_minus_infinity_a_number(width):
    x = torch.full((3, width), -float("inf"))
    x[1, -1] = float("nan")
    out = maximum(INDPTR, INDICES, x)
    assert out[2, -1].isnan()
    assert out.isnan().sum() == 1
    assert (out[0] == -float("inf")).all()
    later = torch.tensor([[1.0], [float("nan")], [2.0]])
    assert maximum(torch.tensor([0, 3]), torch.tensor([0, 1, 2]), later).isnan().all()


def test_what_is_wrong_is_named():
    with pytest.raises(DataError, match="source: is None, but x is int8"):
        maximum(INDPTR, INDICES, torch.ones(3, 2, dtype=torch.int8))
    with pytest.raises(DataError, match=r"x: expected shape \(nodes, features\)"):
        maximum(INDPTR, INDICES, torch.ones(3, 2, 2))


@needs_kernels
def test_an_index_out_of_range_is_an_error_and_not_a_crash(isa):
    with pytest.raises(DataError, match=r"indices: holds values outside \[0, 2\)"):
        maximum(INDPTR, INDICES, torch.ones(2, 2))


def test_operators_are_registered_soundly():
    there = transpose_csr(INDPTR, INDICES, 3)
    x = normal(3, 2)
    torch.library.opcheck(MAXIMUM, (INDPTR, INDICES, x.requires_grad_(), None, True, *there))
    torch.library.opcheck(MAXIMUM_BACK, (*there[:2], x.detach(), normal(4, 2), normal(4, 2)))
