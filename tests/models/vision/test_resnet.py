"""ResNet: published sizes, its depth, and the shortcut without parameters."""

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.models.vision import ResNet


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (56, 0.85)])
def test_sizes_are_those_of_the_papers_table_6(depth, millions):
    assert round(sum(p.numel() for p in ResNet(3, 10, depth=depth).parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_a_resnet_has_its_depth_in_layers_with_weights(depth):
    weighted = [m for m in ResNet(3, 10, depth=depth).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth


def test_a_shortcut_keeps_every_second_pixel_and_pads_channels_with_zeros():
    block = ResNet(3, 10, depth=8).blocks[1].eval()
    with torch.no_grad():
        block.conv2.weight.zero_()  # what is left is the shortcut
    x = torch.rand(1, 16, 6, 6)
    out = block(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


@pytest.mark.parametrize("depth", [2, 18, 0])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ModelError, match=f"depth is {depth}; expected 6n"):
        ResNet(3, 10, depth=depth)
