"""Compact convolutions have the weights their formulas say, and compute what they are written out as."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.nn import (
    ChannelShuffle,
    CReLU,
    CyclicPool,
    DepthwiseSeparable,
    Fire,
    MultiBias,
    ShuffleUnit,
    TurnedConv2d,
)


def weights(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.dim() > 1)


def images(channels: int, size: int = 7) -> torch.Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("module", "count", "outputs"),
    [
        (DepthwiseSeparable(6, 10, 5, multiplier=2), DepthwiseSeparable.count(6, 10, 5, 2), 10),
        (Fire(6, 3, 4, 5), Fire.count(6, 3, 4, 5), 9),
        (ShuffleUnit(6, 9, middle=12, groups=3), ShuffleUnit.count(6, 9, 12, 3), 9),
        (TurnedConv2d(6, 4, 3), 4 * 6 * 9, 16),
        (TurnedConv2d(6, 4, 3, flips=True), 4 * 6 * 9, 32),
    ],
)
def test_weights_are_as_many_as_the_formula_says(module, count, outputs):
    assert weights(module) == count
    assert module(images(6)).shape == (2, outputs, 7, 7)


def test_crelu_keeps_what_relu_loses():
    x = images(3)
    out = CReLU()(x)
    assert out.shape == (2, 6, 7, 7)
    torch.testing.assert_close(out[:, :3] - out[:, 3:], x)
    assert bool((out >= 0).all())


def test_multi_bias_is_a_relu_behind_each_offset():
    module, x = MultiBias(3, 4), images(3)
    wanted = torch.stack([F.relu(x[:, c] + module.bias[c, b]) for c in range(3) for b in range(4)], 1)
    torch.testing.assert_close(module(x), wanted)
    with pytest.raises(ModelError, match="expected"):
        module(images(4))


def test_a_separable_convolution_is_one_of_rank_one_for_each_channel():
    module, x = DepthwiseSeparable(3, 5, stride=2), images(3)
    depthwise, pointwise = module[0].weight[:, 0], module[1].weight[:, :, 0, 0]
    weight = torch.einsum("chw,nc->nchw", depthwise, pointwise)
    torch.testing.assert_close(module(x), F.conv2d(x, weight, module[1].bias, 2, 1))


def test_shuffling_deals_channels_in_turns_and_back():
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    shuffled = ChannelShuffle(2)(x)
    assert shuffled.flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert torch.equal(ChannelShuffle(3)(shuffled), x)
    with pytest.raises(ModelError, match="multiple"):
        ChannelShuffle(4)(x)


def test_after_a_shuffle_every_output_sees_every_group():
    unit = ShuffleUnit(4, 4, middle=4, groups=2)
    x = images(4).requires_grad_()
    for parameter in unit.parameters():
        nn.init.constant_(parameter, 0.1)
    unit(x.abs())[:, 0].sum().backward()
    assert bool((x.grad.abs().sum((0, 2, 3)) > 0).all())
    with pytest.raises(ModelError, match="groups"):
        ShuffleUnit(4, 4, middle=5, groups=2)


@pytest.mark.parametrize("how", ["max", "mean"])
@pytest.mark.parametrize("flips", [False, True])
def test_pooling_over_turned_filters_commutes_with_turning_the_image(how, flips):
    torch.manual_seed(0)
    layer = TurnedConv2d(3, 5, 5, flips=flips)  # in 3 × 3, the mean of four turns is its own mirror image
    network = nn.Sequential(layer, CyclicPool(layer.size, how))
    x = images(3)
    for quarters in range(4):
        turned = torch.rot90(x, quarters, (2, 3))
        torch.testing.assert_close(network(turned), torch.rot90(network(x), quarters, (2, 3)), rtol=1e-4, atol=1e-5)
    mirrored = torch.allclose(network(x.flip(3)), network(x).flip(3), rtol=1e-4, atol=1e-5)
    assert mirrored == flips
    plain = nn.Conv2d(3, 5, 3, padding=1)
    assert not torch.allclose(plain(torch.rot90(x, 1, (2, 3))), torch.rot90(plain(x), 1, (2, 3)), atol=1e-3)


def test_sizes_that_make_no_sense_are_refused():
    for make in (
        lambda: Fire(3, 0, 1, 1),
        lambda: TurnedConv2d(3, 4, 2),
        lambda: CyclicPool(0),
        lambda: DepthwiseSeparable(3, 4, multiplier=0),
    ):
        with pytest.raises(ModelError, match="expected"):
            make()
