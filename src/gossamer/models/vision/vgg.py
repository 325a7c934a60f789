"""VGG-16 for small images: thirteen 3×3 convolutions with batch normalisation, and one linear layer.

The convolutions are configuration D of Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-
Scale Image Recognition", ICLR 2015. Batch normalisation after each of them, and one linear layer in place of
the three of the ImageNet network, are the usual form for CIFAR: 14.7 M parameters. Pooling stops when the
image is one pixel, so that images smaller than 32×32 work.
"""

from __future__ import annotations

from torch import Tensor, nn

# Channels of each convolution; a new tuple begins after a pooling.
_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(nn.Module):
    """Thirteen convolutions and a linear layer.

    Args:
        in_channels: Channels of the image.
        classes: Width of the output.
        image_size: Height and width of the image, at least 1.
    """

    def __init__(self, in_channels: int, classes: int, *, image_size: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in _STAGES:
            for width in stage:
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
            if image_size > 1:
                layers.append(nn.MaxPool2d(2))
                image_size //= 2
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (B, in_channels, image_size, image_size) to (B, classes)."""
        out: Tensor = self.linear(self.features(x).mean((2, 3)))
        return out
