"""A convolutional network of the size of LeNet-5.

Two convolutions of 6 and 16 channels, then linear layers of 120, 84 and one output per class, as in LeCun et
al., "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE 1998. ReLU and max
pooling stand where the original has scaled tanh and learned averaging, and both convolutions keep the image's
size, so that 8×8, 28×28 and 32×32 images all work.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError


class LeNet(nn.Module):
    """Two convolutions and three linear layers.

    Args:
        in_channels: Channels of the image.
        classes: Width of the output.
        image_size: Height and width of the image, at least 4.

    Raises:
        ModelError: The image is too small to be pooled twice.
    """

    def __init__(self, in_channels: int, classes: int, *, image_size: int = 28) -> None:
        super().__init__()
        if image_size < 4:
            raise ModelError(f"LeNet: image_size is {image_size}; expected at least 4, since it pools twice")
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=2)
        self.pool = nn.MaxPool2d(2)
        self.linear1 = nn.Linear(16 * (image_size // 4) ** 2, 120)
        self.linear2 = nn.Linear(120, 84)
        self.linear3 = nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (B, in_channels, image_size, image_size) to (B, classes)."""
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = F.relu(self.linear1(x.flatten(1)))
        out: Tensor = self.linear3(F.relu(self.linear2(x)))
        return out
