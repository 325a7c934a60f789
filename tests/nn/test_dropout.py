"""Dropout: its mean, its zeros, its gradient, and that a sparse input drops among its values only."""

import pytest
import torch

from gossamer.errors import SettingError
from gossamer.graph import CSR
from gossamer.nn import dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.6, 0.9])
def test_zeros_and_scale_are_those_asked_for(p):
    torch.manual_seed(0)
    n = 200_000
    out = dropout(torch.ones(n), p)
    kept = out[out != 0]
    # Five standard deviations of a binomial count; the scale is right to the 16 bits of the draw.
    assert abs(kept.numel() / n - (1 - p)) < 5 * (p * (1 - p) / n) ** 0.5
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)), rtol=2**-16 / (1 - p), atol=0)


def test_elements_that_share_a_draw_are_independent():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(100_000, 4), 0.5) != 0).float()
    correlation = torch.corrcoef(kept.t()) - torch.eye(4)
    assert correlation.abs().max() < 5 / 100_000**0.5


def test_the_gradient_passes_where_the_element_passed():
    x = torch.randn(7, 5, requires_grad=True)
    out = dropout(x, 0.5)
    out.backward(torch.full_like(out, 3.0))
    torch.testing.assert_close(x.grad, torch.where(out == 0, 0.0, 6.0))


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (5, 3), (2, 3, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shapes_and_dtypes_are_kept(shape, dtype):
    out = dropout(torch.ones(shape, dtype=dtype), 0.5)
    assert out.shape == shape
    assert out.dtype == dtype
    assert set(out.flatten().tolist()) <= {0.0, 2.0}


def test_the_ends_of_the_range():
    x = torch.ones(50)
    assert dropout(x, 0.0) is x
    assert dropout(x, 1e-6) is x
    assert dropout(x, 1 - 1e-6).count_nonzero() <= 1
    assert dropout(x, 0.7, training=False) is x
    assert not dropout(x, 1.0).any()


def test_the_same_seed_drops_the_same():
    x = torch.ones(1000)
    torch.manual_seed(3)
    first = dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x, 0.5))
    assert not torch.equal(first, dropout(x, 0.5))


@pytest.mark.parametrize("stored", [True, False])
def test_a_sparse_matrix_keeps_its_places(stored):
    dense = torch.ones(30, 20).tril()
    x = CSR.from_dense(dense)
    x = x if stored else x.with_values(None)
    out = dropout(x, 0.5)
    assert out.nnz == x.nnz
    assert torch.equal(out.indices, x.indices)
    assert set(out.values.tolist()) == {0.0, 2.0}
    # Its transpose is found once and shared, so that training does not find it in every step.
    assert out.transpose is x.transpose


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_a_probability_out_of_range_is_refused(p):
    with pytest.raises(SettingError, match="dropout probability"):
        dropout(torch.ones(3), p)
