"""MLP-Mixer: what its two perceptrons mix, and sizes that do not fit."""

import pytest
import torch
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.models.vision import Mixer


def test_a_block_mixes_places_for_each_channel_and_channels_for_each_place():
    block = Mixer(1, 10, image_size=8).blocks[0].eval()
    x = torch.randn(2, 4, 64)
    normed = F.layer_norm(x, (64,), block.norm1.weight, block.norm1.bias)
    first = x.clone()
    for channel in range(64):
        first[:, :, channel] += block.spread(F.gelu(block.gather(normed[:, :, channel])))
    normed = F.layer_norm(first, (64,), block.norm2.weight, block.norm2.bias)
    second = first.clone()
    for place in range(4):
        second[:, place] += block.narrow(F.gelu(block.widen(normed[:, place])))
    torch.testing.assert_close(block(x), second, rtol=1e-4, atol=1e-5)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="image_size is 30; expected a multiple of the patch size 4"):
        Mixer(3, 10, image_size=30)
