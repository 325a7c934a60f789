from __future__ import annotations

import torch
from torch import nn

from gossamer.nn import CompactConv2d, CompactLinear


def test_what_nobody_uses_is_not_stored():
    dense = nn.Linear(4, 3)
    with torch.no_grad():
        dense.weight.copy_(torch.tensor([[1.0, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0]]))
    layer = CompactLinear.from_dense(dense)
    assert layer.small.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert layer.rows.tolist() == [0, 2]
    assert layer.columns.tolist() == [0, 2]
    torch.testing.assert_close(layer(torch.eye(4)), dense(torch.eye(4)))


def test_channels_of_a_convolution_go_with_all_their_taps():
    dense = nn.Conv2d(4, 3, 3)
    with torch.no_grad():
        dense.weight[1] = 0.0
        dense.weight[:, 2] = 0.0
        dense.weight[0, 0] = 0.0  # still used by the last output
    layer = CompactConv2d.from_dense(dense)
    assert layer.small.shape == (2, 3, 3, 3)
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(layer(x), dense(x), rtol=1e-4, atol=1e-5)


def test_a_relu_may_be_part_of_the_layer():
    linear, conv = nn.Linear(4, 3), nn.Conv2d(4, 3, 3)
    with torch.no_grad():
        linear.weight[1], conv.weight[1] = 0.0, 0.0
        for dense, x in ((linear, torch.randn(5, 4)), (conv, torch.randn(2, 4, 5, 5))):
            make = CompactLinear if dense is linear else CompactConv2d
            torch.testing.assert_close(make.from_dense(dense, relu=True)(x), dense(x).relu(), rtol=1e-4, atol=1e-5)
