from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.activations import zeros
from gossamer.errors import SettingError
from gossamer.nn import TopKReLU
from tests.prune.toy import Regression

shapes = st.sampled_from([(3, 10), (2, 4, 7), (2, 3, 4, 5), (6,)])


@settings(max_examples=30, deadline=None)
@given(shapes, st.floats(0.01, 1.0), st.integers(0, 99))
def test_the_largest_of_each_row_stay_and_gradients_reach_them_alone(shape, density: float, seed: int) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    out = TopKReLU(density)(x)
    (2.0 * out).sum().backward()
    rows = x.detach().numpy().reshape(shape[0], -1) if len(shape) > 3 else x.detach().numpy().reshape(-1, shape[-1])
    count = math.ceil(round(density * rows.shape[1], 6))
    expected = np.zeros_like(rows)
    for row, wins in zip(rows, expected, strict=True):
        best = np.argsort(-row)[:count]
        wins[best] = np.maximum(row[best], 0.0)
    np.testing.assert_array_equal(out.detach().numpy().reshape(rows.shape), expected)
    np.testing.assert_array_equal(x.grad.numpy().reshape(rows.shape), 2.0 * (expected > 0))


def test_ties_never_break_the_count_and_a_layer_reads_as_many_zeros_as_asked_for() -> None:
    assert int(TopKReLU(0.3)(torch.ones(4, 10)).count_nonzero()) == 4 * 3
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 40), TopKReLU(0.1), nn.Linear(40, 4))
    assert zeros(model, Regression())[1].inputs == pytest.approx(0.9)
    with pytest.raises(SettingError, match="density is 0; expected a number above 0 and at most 1"):
        TopKReLU(0)
