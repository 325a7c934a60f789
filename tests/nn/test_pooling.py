"""Two passes of maxima are max pooling over 2×2 pixels."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.pooling import MaximaPool2d

SIZE = st.integers(2, 9)


@given(st.integers(0, 3), st.integers(1, 3), SIZE, SIZE, st.integers(0, 2**31))
def test_is_max_pooling_to_the_bit(count, channels, height, width, seed):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randint(-3, 4, (count, channels, height, width), generator=draw).float()
    x[x == 3] = math.nan
    x[x == -3] = -math.inf
    torch.testing.assert_close(MaximaPool2d()(x), nn.MaxPool2d(2)(x), rtol=0, atol=0, equal_nan=True)
    if count:
        torch.testing.assert_close(MaximaPool2d()(x[0]), nn.MaxPool2d(2)(x[0]), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(3),
        nn.MaxPool2d(2, stride=1),
        nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(2, dilation=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d(2, return_indices=True),
        nn.AvgPool2d(2),
    ],
)
def test_other_pooling_is_refused(layer):
    with pytest.raises(ModelError, match=r"expected (2x2|a MaxPool2d)"):
        MaximaPool2d.from_dense(layer)


def test_pairs_are_read_like_numbers():
    assert isinstance(MaximaPool2d.from_dense(nn.MaxPool2d((2, 2), stride=(2, 2))), MaximaPool2d)
