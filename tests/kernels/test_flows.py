from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.flows import (
    Flow,
    best_flow,
    logistic_chain,
    logistic_chain_reference,
    multiply,
    multiply_reference,
)
from tests.kernels.patterns import normal

needs_kernels = pytest.mark.skipif(not native.available(), reason="no native kernels here")
SIZES = st.integers(1, 70)


def matrices(rows, inner, columns, turned):
    x = normal(inner, rows).T if turned & 1 else normal(rows, inner)
    y = normal(columns, inner, seed=1).T if turned & 2 else normal(inner, columns, seed=1)
    return x, y


@settings(deadline=None, max_examples=100)
@given(SIZES, SIZES, SIZES, st.integers(0, 3), st.sampled_from([None, *Flow]))
def test_every_flow_is_the_product(rows, inner, columns, turned, flow):
    x, y = matrices(rows, inner, columns, turned)
    wanted = (x.double() @ y.double()).float()
    torch.testing.assert_close(multiply(x, y, flow=flow), wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("flow", Flow)
@pytest.mark.parametrize("shape", [(130, 16, 40), (1, 700, 33), (40, 300, 1), (37, 19, 5)])
def test_bias_relu_and_gate_belong_to_the_product(flow, shape):
    x, y = matrices(*shape, turned=2)
    bias, gate = normal(shape[2], seed=2), normal(shape[0], shape[2], seed=3)
    for given_ in ({"bias": bias}, {"relu": True}, {"gate": gate}, {"bias": bias, "relu": True, "gate": gate}):
        found, wanted = multiply(x, y, flow=flow, **given_), multiply_reference(x, y, **given_)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4)


@needs_kernels
@pytest.mark.parametrize("flow", Flow)
def test_threads_do_not_change_a_bit(flow, threads):
    x, y = normal(300, 900), normal(900, 70, seed=1)
    torch.set_num_threads(1)
    alone = multiply(x, y, flow=flow)
    for count in (2, 3):
        torch.set_num_threads(count)
        assert torch.equal(multiply(x, y, flow=flow), alone)


def test_a_rule_chooses_the_flow():
    assert best_flow(1024, 16, 128) is Flow.ROW
    assert best_flow(1024, 128, 1) is Flow.INNER
    assert best_flow(1, 1024, 128) is Flow.OUTER
    assert best_flow(512, 128, 10) is Flow.COLUMN


def test_wrong_arrays_are_refused():
    with pytest.raises(DataError, match=r"expected \(M, K\) and \(K, N\)"):
        multiply(normal(3, 4), normal(3, 4))
    with pytest.raises(DataError, match="x: expected float32"):
        multiply(normal(3, 4).double(), normal(4, 3))
    with pytest.raises(DataError, match="bias: expected"):
        multiply(normal(3, 4), normal(4, 3), bias=normal(4))
    with pytest.raises(DataError, match="gate: expected"):
        multiply(normal(3, 4), normal(4, 3), gate=normal(3, 3).T)


def layers(*widths, bias=True):
    weights = [normal(after, before, seed=after) for before, after in pairwise(widths)]
    return weights, [normal(weight.shape[0], seed=9) if bias else None for weight in weights]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("rows", [1, 127, 128, 700])
@pytest.mark.parametrize("widths", [(16, 128, 1), (5, 33, 7, 1), (40, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_chain_has_the_loss_and_gradients_of_torch(rows, widths, bias):
    weights, biases = layers(*widths, bias=bias)
    x, y = normal(rows, widths[0]), (normal(rows, seed=4) > 0).float()
    loss, gradients = logistic_chain(x, y, weights, biases)
    wanted, others = logistic_chain_reference(x, y, weights, biases)
    torch.testing.assert_close(loss, wanted, rtol=1e-5, atol=1e-5)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()) + 1e-7)


@needs_kernels
def test_threads_do_not_change_a_chain(threads):
    weights, biases = layers(16, 64, 1)
    x, y = normal(1000, 16), (normal(1000, seed=4) > 0).float()
    torch.set_num_threads(1)
    loss, gradients = logistic_chain(x, y, weights, biases)
    torch.set_num_threads(3)
    again, others = logistic_chain(x, y, weights, biases)
    assert torch.equal(loss, again)
    assert all(map(torch.equal, gradients, others))


def test_large_scores_have_a_finite_loss():
    weights, biases = [torch.tensor([[100.0]])], [None]
    x, y = torch.tensor([[2.0], [-2.0], [2.0]]), torch.tensor([1.0, 0.0, 0.0])
    loss, (gradient,) = logistic_chain(x, y, weights, biases)
    assert float(loss) == pytest.approx(200 / 3)
    assert float(gradient) == pytest.approx(2 / 3)
