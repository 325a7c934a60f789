"""VGG-16: the usual size of its form for CIFAR, and pooling that stops at one pixel."""

import pytest
from torch import nn

from gossamer.models.vision import VGG16


def test_the_number_of_parameters():
    assert round(sum(p.numel() for p in VGG16(3, 10).parameters()) / 1e6, 1) == 14.7


@pytest.mark.parametrize(("size", "pools"), [(32, 5), (28, 4), (8, 3), (1, 0)])
def test_pooling_stops_at_one_pixel(size, pools):
    modules = list(VGG16(1, 10, image_size=size).modules())
    assert sum(isinstance(module, nn.MaxPool2d) for module in modules) == pools
    assert sum(isinstance(module, nn.Conv2d) for module in modules) == 13
