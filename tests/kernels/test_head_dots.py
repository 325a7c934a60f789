from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import head_dots, native
from gossamer.kernels.attention.head_dots import HEAD_DOTS, HEAD_DOTS_BACK
from tests.kernels.patterns import WIDTHS, normal

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 30), st.integers(0, 6), st.sampled_from(WIDTHS), st.integers(0, 4))
def test_equals_the_definition(nodes, heads, features, count):
    x, vectors = normal(nodes, heads, features), normal(count, heads, features, seed=1)
    expected = (x[None].double() * vectors[:, None].double()).sum(-1)
    torch.testing.assert_close(head_dots(x, vectors).double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 32), (8, 8), (2, 100)])
def test_gradients_equal_those_of_the_reference(shape):
    for nodes in (3, 5000):  # more than two pieces
        x, vectors = normal(nodes, *shape), normal(2, *shape, seed=1)
        mine = [part.clone().requires_grad_() for part in (x, vectors)]
        wide = [part.double().requires_grad_() for part in (x, vectors)]
        flow = normal(2, nodes, shape[0], seed=2)
        head_dots(*mine).backward(flow)
        head_dots(*wide).backward(flow.double())
        for one, other in zip(mine, wide, strict=True):
            torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-4)


def test_gradients_of_the_reference():
    inputs = (normal(5, 2, 3).double().requires_grad_(), normal(2, 2, 3).double().requires_grad_())
    assert torch.autograd.gradcheck(head_dots, inputs)


@needs_kernels
def test_the_number_of_threads_changes_no_bit(isa, threads):
    results = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        x, vectors = normal(9000, 4, 32).requires_grad_(), normal(2, 4, 32, seed=1).requires_grad_()
        out = head_dots(x, vectors)
        out.backward(normal(2, 9000, 4, seed=2))
        results.append((out, x.grad, vectors.grad))
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_what_is_wrong_is_named():
    x = torch.ones(3, 2, 5)
    with pytest.raises(DataError, match=r"x: expected shape \(nodes, heads, features\)"):
        head_dots(torch.ones(3, 2), torch.ones(1, 2))
    with pytest.raises(DataError, match=r"vectors: expected shape \(count, 2, 5\) on cpu, found float32 of shape"):
        head_dots(x, torch.ones(1, 2, 4))
    with pytest.raises(DataError, match="vectors: expected the dtype of x, float32, found float64"):
        head_dots(x, torch.ones(1, 2, 5).double())


def test_operators_are_registered_soundly():
    x, vectors = normal(4, 2, 5), normal(3, 2, 5, seed=1)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(HEAD_DOTS, (x.clone().requires_grad_(), vectors), test_utils=checks)
    torch.library.opcheck(HEAD_DOTS_BACK, (x, vectors, normal(3, 4, 2)), test_utils=checks)
