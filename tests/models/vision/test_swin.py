"""The Swin transformer: its windows against attention written out pair by pair, and sizes that do not fit."""

import math

import pytest
import torch

from gossamer.errors import ModelError
from gossamer.models.vision import Swin
from gossamer.models.vision.swin import SwinBlock


def attended(block, x):
    """Attention of a block, pair by pair of tokens that share a shifted window and were neighbours in the image."""
    _, grid, _, hidden = x.shape
    width = hidden // block.heads
    query, key, value = block.project(x).view(*x.shape[:3], 3, block.heads, width).unbind(3)
    out = torch.zeros_like(x).view(*x.shape[:3], block.heads, width)

    def window(place):  # windows begin at the shift; what they cut off at the edges are windows of their own
        return (place - block.shift) // block.window

    places = [(i, j) for i in range(grid) for j in range(grid)]
    for i, j in places:
        near = [(k, m) for k, m in places if (window(k), window(m)) == (window(i), window(j))]
        for head in range(block.heads):
            scores = torch.stack(
                [
                    (query[0, i, j, head] @ key[0, k, m, head]) / math.sqrt(width)
                    + block.bias[(i - k + block.window - 1) * (2 * block.window - 1) + j - m + block.window - 1, head]
                    for k, m in near
                ]
            )
            values = torch.stack([value[0, k, m, head] for k, m in near])
            out[0, i, j, head] = scores.softmax(0) @ values
    return block.merge(out.reshape(x.shape))


@pytest.mark.parametrize(("grid", "window", "shifted"), [(4, 2, False), (4, 2, True), (6, 3, True), (3, 8, True)])
def test_windows_are_those_of_attention_pair_by_pair(grid, window, shifted):
    block = SwinBlock(grid, 8, 2, window, shifted=shifted).double()
    with torch.no_grad():
        block.bias.normal_()
        x = torch.randn(1, grid, grid, 8, dtype=torch.float64)
        middle = x + attended(block, block.norm1(x))
        expected = middle + block.narrow(torch.nn.functional.gelu(block.widen(block.norm2(middle))))
        torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 30}, "image_size is 30; expected a multiple of 4, two patches"),
        ({"hidden": 30, "heads": 4}, "hidden is 30; expected a multiple of the 4 heads"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        Swin(3, 10, **arguments)
