"""Structured layers against their matrices written out, and their structure against its definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard as hadamard_matrix
from scipy.linalg import toeplitz

from gossamer.errors import ModelError
from gossamer.nn import Fastfood, ToeplitzLike
from gossamer.nn.fastfood import hadamard


def shift(n: int, factor: float) -> np.ndarray:
    """Returns Z_f: ones below the diagonal and `factor` in the corner."""
    matrix = np.diag(np.ones(n - 1), -1)
    matrix[0, -1] += factor
    return matrix


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 4), st.integers(0, 99))
def test_a_toeplitz_like_layer_is_its_matrix(n, rank, seed):
    torch.manual_seed(seed)
    layer = ToeplitzLike(n, rank)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(3, n)
    torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in layer.parameters()) == 2 * rank * n + n


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_its_displacement_has_its_rank(rank):
    torch.manual_seed(0)
    n = 12
    weight = ToeplitzLike(n, rank).double().weight.detach().numpy()
    displaced = shift(n, 1.0) @ weight - weight @ shift(n, -1.0)
    assert np.linalg.matrix_rank(displaced, tol=1e-10) == rank
    assert np.linalg.matrix_rank(weight) == n
    some = toeplitz(np.arange(n) ** 0.5, np.arange(n) ** 1.5)
    assert np.linalg.matrix_rank(shift(n, 1.0) @ some - some @ shift(n, -1.0), tol=1e-10) == 2  # what it is named after


@pytest.mark.parametrize("n", [1, 2, 8, 64])
def test_the_fast_transform_is_the_matrix(n):
    x = torch.randn(2, 3, n, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(hadamard(x), x @ torch.from_numpy(hadamard_matrix(n)).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("inputs", "outputs"), [(8, 8), (5, 3), (6, 20)])
def test_fastfood_is_the_product_of_its_factors(inputs, outputs):
    torch.manual_seed(0)
    layer = Fastfood(inputs, outputs)
    torch.nn.init.normal_(layer.bias)
    d = layer.order
    h = torch.from_numpy(hadamard_matrix(d)).float()
    blocks = []
    for place in range(-(-outputs // d)):
        p = torch.eye(d)[layer.permutation[place]]
        s, g, b = (torch.diag(one[place]) for one in (layer.scale, layer.gains, layer.signs))
        blocks.append(s @ h @ g @ p @ h @ b / d)
    wanted = torch.cat(blocks)[:outputs, :inputs]
    torch.testing.assert_close(layer.weight, wanted, rtol=1e-4, atol=1e-5)
    x = torch.randn(4, inputs)
    torch.testing.assert_close(layer(x), x @ wanted.T + layer.bias, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in layer.parameters()) == 3 * d * len(blocks) + outputs


@pytest.mark.parametrize("make", [lambda: ToeplitzLike(256, 4, bias=False), lambda: Fastfood(256, 256, bias=False)])
def test_fresh_layers_keep_the_size_of_what_passes(make):
    torch.manual_seed(0)
    x = torch.randn(512, 256)
    assert float(make()(x).std().detach()) == pytest.approx(1.0, abs=0.25)


def test_gradients_are_those_of_the_matrix():
    torch.manual_seed(0)
    for layer in (ToeplitzLike(6, 2), Fastfood(6, 9)):
        x = torch.randn(4, 6)
        by_layer = torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))
        by_matrix = torch.autograd.grad((x @ layer.weight.T + layer.bias).square().sum(), list(layer.parameters()))
        for one, other in zip(by_layer, by_matrix, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_sizes_below_one_are_refused():
    for make in (lambda: ToeplitzLike(0), lambda: ToeplitzLike(4, 0), lambda: Fastfood(4, 0)):
        with pytest.raises(ModelError, match="expected at least 1"):
            make()
    with pytest.raises(ModelError, match="expected 4"):
        ToeplitzLike(4)(torch.zeros(2, 5))
