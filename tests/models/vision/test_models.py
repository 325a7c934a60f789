"""What every image network obeys: small images work, and each sample is answered on its own."""

import pytest
import torch

from gossamer.models.vision import VGG16, LeNet, Mixer, ResNet, Swin, ViT

NETWORKS = {
    "lenet": lambda size: LeNet(1, 10, image_size=size),
    "resnet8": lambda size: ResNet(1, 10, depth=8),
    "vgg16": lambda size: VGG16(1, 10, image_size=size),
    "mixer": lambda size: Mixer(1, 10, image_size=size),
    "swin": lambda size: Swin(1, 10, image_size=size),
    "vit": lambda size: ViT(1, 10, image_size=size),
}


@pytest.mark.parametrize("size", [8, 28, 32])
@pytest.mark.parametrize("name", NETWORKS)
def test_small_images_work_and_samples_do_not_mix(name, size):
    model = NETWORKS[name](size).eval()
    images = torch.randn(3, 1, size, size, generator=torch.Generator().manual_seed(0))
    out = model(images)
    assert out.shape == (3, 10)
    torch.testing.assert_close(out[1:2], model(images[1:2]), rtol=1e-4, atol=1e-4)
