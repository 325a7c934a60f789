"""ResNet: published sizes, its depth, and the shortcut without parameters."""

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.models.vision import ResNet
from gossamer.models.vision.resnet import Block


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


def test_stochastic_depth_falls_evenly_to_the_last_block():
    network = ResNet(3, 10, depth=20, survival=0.5)
    assert [block.survival for block in network.blocks] == pytest.approx(
        [1 - place / 9 * 0.5 for place in range(1, 10)]
    )
    assert all(block.survival == 1.0 for block in ResNet(3, 10, depth=8).blocks)
    with pytest.raises(ModelError, match="probability"):
        ResNet(3, 10, survival=1.5)


def test_a_block_is_its_shortcut_or_whole_in_training_and_scaled_in_prediction():
    torch.manual_seed(0)
    block = Block(16, 16, survival=0.4)
    x = torch.rand(2, 16, 5, 5)
    whole = Block(16, 16)
    whole.load_state_dict(block.state_dict())
    with torch.no_grad():
        outs = [block(x) for _ in range(400)]
        skipped = sum(torch.equal(out, x) for out in outs)  # ReLU of what is positive
        assert abs(skipped - 240) < 4 * (400 * 0.4 * 0.6) ** 0.5
        kept = whole(x)
        assert all(torch.equal(out, x) or torch.allclose(out, kept) for out in outs)
        branch = block.eval().norm2(block.conv2(nn.functional.relu(block.norm1(block.conv1(x)))))
        torch.testing.assert_close(block(x), nn.functional.relu(x + 0.4 * branch))
