from __future__ import annotations

import torch

from gossamer.kernels.low_bits import int8_linear, int8_matmul, pack_bytes, pack_int8, to_panels
from tests.kernels.low_bits.cases import normal


def test_worked_example():
    x = torch.tensor([[-128, 127, 2, 0, 5]], dtype=torch.int8)
    weight = torch.tensor([[-128, -128, 3, 9, 1], [1, 1, 1, 1, 1]], dtype=torch.int8)
    assert int8_matmul(pack_bytes(x), to_panels(pack_bytes(weight)), 5, 2).tolist() == [[128 + 6 + 5, 6]]


def test_a_quantised_layer_is_close_to_the_layer():
    x, weight = normal(20, 300), normal(40, 300, seed=1)
    words, scale = pack_int8(weight)
    rows, x_scale = pack_int8(x)
    out = int8_linear(rows, to_panels(words), 300, scale, x_scale=x_scale)
    expected = x @ weight.T
    assert float((out - expected).norm() / expected.norm()) < 0.02  # two roundings of 1 / 127 of about 3 sigma
