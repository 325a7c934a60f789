"""Image networks: published sizes, image sizes, and each sample on its own."""

import pytest
import torch
from torch import nn

from gossamer.errors import ModelError
from gossamer.models.vision import VGG16, LeNet, ResNet, ViT

NETWORKS = {
    "lenet": lambda size: LeNet(1, 10, image_size=size),
    "resnet8": lambda size: ResNet(1, 10, depth=8),
    "vgg16": lambda size: VGG16(1, 10, image_size=size),
    "vit": lambda size: ViT(1, 10, image_size=size),
}


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("size", [8, 28, 32])
@pytest.mark.parametrize("name", NETWORKS)
def test_small_images_work_and_samples_do_not_mix(name, size):
    model = NETWORKS[name](size).eval()
    images = torch.randn(3, 1, size, size, generator=torch.Generator().manual_seed(0))
    out = model(images)
    assert out.shape == (3, 10)
    torch.testing.assert_close(out[1:2], model(images[1:2]), rtol=1e-4, atol=1e-4)


def test_sizes_are_the_published_ones():
    # He et al., table 6, counts 0.27 M and 0.85 M; the usual VGG-16 for CIFAR-10 has 14.7 M.
    assert round(parameters(ResNet(3, 10, depth=20)) / 1e6, 2) == 0.27
    assert round(parameters(ResNet(3, 10, depth=56)) / 1e6, 2) == 0.85
    assert round(parameters(VGG16(3, 10)) / 1e6, 1) == 14.7
    # 25 · 6 + 6, 25 · 6 · 16 + 16, 784 · 120 + 120, 120 · 84 + 84, 84 · 10 + 10
    assert parameters(LeNet(1, 10)) == 156 + 2416 + 94200 + 10164 + 850


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


def test_a_vit_without_positions_does_not_see_the_order_of_patches():
    model = ViT(1, 10, image_size=8).eval()
    image = torch.rand(1, 1, 8, 8)
    swapped = image.roll(4, dims=3)  # two by two patches: left and right change places
    assert not torch.allclose(model(image), model(swapped), atol=1e-5)
    with torch.no_grad():
        model.position.zero_()
    torch.testing.assert_close(model(image), model(swapped), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResNet(3, 10, depth=18), "depth is 18; expected 6n"),
        (lambda: ResNet(3, 10, depth=2), "depth is 2; expected 6n"),
        (lambda: LeNet(1, 10, image_size=3), "image_size is 3; expected at least 4"),
        (lambda: ViT(3, 10, image_size=30), "image_size is 30; expected a multiple of the patch size 4"),
        (lambda: ViT(3, 10, hidden=30), "hidden is 30; expected a multiple of the 4 heads"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ModelError, match=message):
        make()
