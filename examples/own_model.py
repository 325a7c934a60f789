"""A network and data of your own, as plain PyTorch has them; nothing in them knows of gossamer but one line.

gossamer compare examples/own_model.toml
gossamer compress --task examples/own_model.py:make_task --model examples/own_model.py:Net --out runs/small
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from gossamer.tasks import LoaderTask


class Net(nn.Module):
    """Two convolutions and a linear layer, for images of 8 by 8 pixels."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.classify = nn.Linear(2 * channels * 4 * 4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns one row of scores an image."""
        return self.classify(self.features(images).flatten(1))


def make_task(seed: int) -> LoaderTask:
    """Returns what the network must do: your loaders, and a loss and metrics if not those of classification."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    data = TensorDataset(images, torch.tensor(digits.target))
    train, val, test = random_split(data, [0.7, 0.1, 0.2], generator=torch.Generator().manual_seed(seed))
    return LoaderTask(
        DataLoader(train, batch_size=64, shuffle=True),
        DataLoader(val, batch_size=256),
        DataLoader(test, batch_size=256),
    )
