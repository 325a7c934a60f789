"""The linear layer against torch's, for dense and for sparse inputs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.errors import ModelError
from gossamer.graph import CSR
from gossamer.nn import Linear
from tests.nn.graphs import random_features


@settings(max_examples=40, deadline=None)
@given(
    nodes=st.integers(0, 12),
    wide=st.integers(1, 20),
    narrow=st.integers(1, 20),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_sparse_input_gives_what_its_dense_form_gives(nodes, wide, narrow, bias, seed):
    torch.manual_seed(seed)
    layer, twin = Linear(wide, narrow, bias=bias), nn.Linear(wide, narrow, bias=bias)
    twin.load_state_dict(layer.state_dict())
    x = random_features(wide, seed, nodes=nodes)
    target = torch.randn(nodes, narrow)

    out, expected = layer(CSR.from_dense(x)), twin(x)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    (out * target).sum().backward()
    (expected * target).sum().backward()
    for mine, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-5)


def test_values_that_ask_for_a_gradient_get_one():
    values = torch.tensor([2.0, 3.0], requires_grad=True)
    x = CSR(torch.tensor([0, 1, 2]), torch.tensor([1, 0]), values, shape=(2, 2))
    layer = Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[5.0, 7.0]]))
    out = layer(x)
    assert out.tolist() == [[14.0], [15.0]]
    out.sum().backward()
    assert values.grad.tolist() == [7.0, 5.0]


def test_a_dense_input_may_have_leading_dimensions():
    layer = Linear(3, 2)
    assert layer(torch.randn(5, 4, 3)).shape == (5, 4, 2)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_wrong_width_is_named(sparse):
    x = torch.ones(4, 6)
    with pytest.raises(ModelError, match="input has 6 features, expected 5"):
        Linear(5, 2)(CSR.from_dense(x) if sparse else x)


def test_it_is_a_torch_linear_to_whoever_looks_for_one():
    layer = Linear(3, 2)
    assert isinstance(layer, nn.Linear)
    assert list(layer.state_dict()) == ["weight", "bias"]
