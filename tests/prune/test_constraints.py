"""Penalties against closed forms, singular values, and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.prune import L1, Conditioning, TransformedL1
from gossamer.prune.constraints import Layer


def matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_transformed_l1_by_hand() -> None:
    gated = Layer(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([0.5, 1.0]))
    plain = Layer(torch.tensor([[3.0]]))
    penalty = TransformedL1(strength=2.0, a=4.0, price=0.1, decay=0.01).penalty([gated, plain], examples=100)
    # N d / 2 = 0.5: rows cost 0.5 · (0.5 · 5 + 2 · 0.1) = 1.35 and 0.2; the other layer 0.5 · 9.
    expected = 2.0 / 100 * (5 * 1.35 / (4 + 1.35) + 5 * 0.2 / (4 + 0.2) + 4.5)
    assert float(penalty) == pytest.approx(expected)


def test_transformed_l1_lies_between_a_sum_of_costs_and_a_count_of_rows() -> None:
    weight, opened = matrix(5, 3), torch.rand(5, dtype=torch.float64)
    cost = opened * (0.5 * 10 * 5e-4 * weight.square() + 0.001).sum(1)
    sparse = [TransformedL1(a=a).penalty([Layer(weight, opened)], examples=10) for a in (1e-12, 100.0, 1e9)]
    assert float(sparse[0]) == pytest.approx(5 / 10)
    assert float(sparse[2]) == pytest.approx(float(cost.sum()) / 10)
    assert float(sparse[2]) <= float(sparse[1]) <= float(sparse[0])


def test_transformed_l1_without_gates_is_weight_decay() -> None:
    weight = matrix(4, 6)
    penalty = TransformedL1(strength=1.0, decay=0.02).penalty([Layer(weight)], examples=123)
    assert float(penalty) == pytest.approx(0.01 * float(weight.square().sum()))


def test_gradients_are_those_of_finite_differences() -> None:
    weight, opened = matrix(4, 6).requires_grad_(), torch.rand(4, dtype=torch.float64).requires_grad_()
    for penalty in (TransformedL1(a=3.0, price=0.2, decay=0.1), L1(strength=0.3)):
        assert torch.autograd.gradcheck(lambda w, p, s=penalty: s.penalty([Layer(w, p)], 50), (weight, opened))
    for scale in ("mean", "size"):
        condition = Conditioning(scale=scale)
        assert torch.autograd.gradcheck(lambda w, c=condition: c.penalty([Layer(w), Layer(w.T @ w)]), (weight,))


def test_l1_is_the_sum_of_sizes() -> None:
    layers = [Layer(torch.tensor([[1.0, -2.0]]), torch.tensor([0.5])), Layer(torch.tensor([[-3.0]]))]
    assert float(L1(strength=0.1).penalty(layers, 7)) == pytest.approx(0.6)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 1000), st.sampled_from(["mean", "size"]))
def test_spread_is_the_mean_logarithm_of_singular_values(rows: int, columns: int, seed: int, scale: str) -> None:
    weight = matrix(rows, columns, seed)
    squares = torch.linalg.svdvals(weight).square()
    c = squares.mean() if scale == "mean" else len(squares)
    expected = (squares / c + 1e-5).log().mean()
    condition = Conditioning(scale=scale)
    assert float(condition.spread(weight)) == pytest.approx(float(expected), abs=1e-9)
    assert float(condition.spread(weight.T)) == pytest.approx(float(expected), abs=1e-9)


@given(st.floats(1e-3, 1e3), st.integers(0, 100))
def test_by_the_mean_scale_does_not_count(factor: float, seed: int) -> None:
    weight = matrix(6, 9, seed)
    spread = Conditioning().spread
    assert float(spread(factor * weight)) == pytest.approx(float(spread(weight)), abs=1e-9)
    assert float(spread(weight)) < 1e-5  # 0 at most, but for the jitter


def test_by_the_size_it_is_what_the_determinant_says() -> None:
    weight = matrix(10, 40)
    logarithm = math.log(1e-5 + float(torch.linalg.det(weight @ weight.T / 10)))  # the authors' form
    assert 10 * float(Conditioning(scale="size").spread(weight)) == pytest.approx(logarithm, abs=1e-3)
    even, _ = torch.linalg.qr(matrix(40, 10))
    assert float(Conditioning(scale="size").penalty([Layer(math.sqrt(10) * even)])) < 1e-8


def test_a_singular_matrix_is_worst_and_still_a_number() -> None:
    stretched = [torch.diag(torch.tensor([1.0, 1.0, value])) for value in (1.0, 0.1, 0.001, 0.0)]
    penalties = [float(Conditioning().penalty([Layer(weight)])) for weight in [*stretched, torch.zeros(3, 3)]]
    assert penalties == sorted(penalties)
    assert all(math.isfinite(penalty) for penalty in penalties)
    weight = torch.zeros(3, 5, requires_grad=True)
    Conditioning().penalty([Layer(weight)]).backward()
    assert bool(torch.isfinite(weight.grad).all())


def test_on_the_last_layer_alone() -> None:
    first, last = Layer(torch.diag(torch.tensor([1.0, 0.01]))), Layer(torch.eye(2))
    assert float(Conditioning(on="last").penalty([first, last])) < 1e-8
    assert float(Conditioning(on="all").penalty([first, last])) > 1.0


def test_large_layers_do_not_underflow() -> None:
    weight = 0.01 * matrix(300, 400).float()
    assert float(torch.linalg.det(weight @ weight.T / 300)) == 0.0  # what logarithms of determinants are for
    assert math.isfinite(float(Conditioning(scale="size").penalty([Layer(weight)])))
