"""Classification of images in mini-batches, with the light augmentation that is customary for small ones.

Images stay as they are stored, bytes as a rule, and become standardised floats a batch at a time. The
validation split is drawn from the training images; the published test images stay the test split. Batches
differ by at most one image in size, so there is never a last batch of one, which batch normalisation cannot
use.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import DataError
from gossamer.tasks import checks, metrics, splits
from gossamer.tasks.readers.images import Images
from gossamer.tasks.seeding import generator
from gossamer.tasks.task import Split, Task

_EVALUATION_BATCH = 512  # images; large enough to amortise the call, small enough for a VGG's activations


class ImageClassification(Task):
    """Predicts the class of each image; the model is called as `model(images)` and returns (batch, classes).

    Args:
        images: Training and test images, (N, C, H, W) uint8 or float.
        batch_size: The most images a training step takes, at least 1.
        val: The fraction of the training images that becomes the validation split, in (0, 1).
        augment: Whether training images are cropped at random from a frame 4 pixels wider and mirrored every
            second time (He et al. 2016, section 4.2).
        example_batch: How many images `example()` holds, so at which batch size costs are measured.
        seed: Which validation split.
        name: What reports call the task.

    Raises:
        DataError: Images and labels do not fit; the message names the first offending one.
    """

    metric = "accuracy"
    batch_size: int

    def __init__(
        self,
        images: Images,
        *,
        batch_size: int = 128,
        val: float = 0.1,
        augment: bool = False,
        example_batch: int = 1,
        seed: int = 0,
        name: str = "image-classification",
    ) -> None:
        self.name = name
        self.batch_size = batch_size
        self.augment = augment
        self.example_batch = example_batch
        checks.check_setting("batch_size", batch_size, ge=1)
        checks.check_setting("example_batch", example_batch, ge=1)
        checks.check_setting("val", val, gt=0, lt=1)
        for part, x, y in (
            ("training", images.train_x, images.train_y),
            ("test", images.test_x, images.test_y),
        ):
            _check_images(x, part)
            checks.check_labels(y, len(x), classes=images.classes)
        if images.train_x.shape[1:] != images.test_x.shape[1:]:
            raise DataError(
                f"{name}: training images are {tuple(images.train_x.shape[1:])}, test images"
                f" {tuple(images.test_x.shape[1:])}; expected the same (C, H, W)"
            )
        self.classes = images.classes
        drawn = splits.fractions(len(images.train_x), val=val, test=0.0, seed=seed)
        train = drawn["train"].sort().values
        held_out = drawn["val"].sort().values
        self._x: dict[Split, Tensor] = {
            "train": images.train_x[train],
            "val": images.train_x[held_out],
            "test": images.test_x,
        }
        self._y: dict[Split, Tensor] = {
            "train": images.train_y[train].long(),
            "val": images.train_y[held_out].long(),
            "test": images.test_y.long(),
        }
        self._mean, self._std = _moments(self._x["train"])

    def steps(self) -> int:
        """Returns the number of batches that the training images make."""
        return math.ceil(len(self._x["train"]) / self.batch_size)

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields (images, labels): (B, C, H, W) standardised float32 and (B,) int64.

        Training images come in an order, and augmented in a way, that (seed, epoch) decide; the other splits
        in their own order, as they are.
        """
        if split != "train":
            yield from self._in_order(split)
            return
        x, y = self._x[split], self._y[split]
        draw = generator(seed, epoch)
        order = torch.randperm(len(x), generator=draw).to(x.device)
        for rows in order.tensor_split(self.steps()):
            chosen = crop_and_flip(x[rows], draw) if self.augment else x[rows]
            yield self._prepare(chosen), y[rows]

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Returns the mean cross entropy over a batch."""
        x, y = batch
        return F.cross_entropy(self.predict(model, x), y)

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """Returns what a model says of standardised images, (B, classes).

        Raises:
            ModelError: The model's output has another shape.
        """
        return checks.check_output(
            model(x),
            (len(x), self.classes),
            rows="image",
            columns="class",
            hint=f"build the model with classes={self.classes}",
        )

    def pixel_range(self) -> tuple[Tensor, Tensor]:
        """Returns the lowest and the highest value that a standardised pixel can have, each (1, C, 1, 1).

        Bytes go from 0 to 255; of floats, the range is that of the training images.
        """
        x = self._x["train"]
        low, high = (0.0, 255.0) if x.dtype == torch.uint8 else (float(x.min()), float(x.max()))
        return (low - self._mean) / self._std, (high - self._mean) / self._std

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns accuracy and macro-F1 over a split, without augmentation.

        Raises:
            ModelError: The model's output is not (batch, classes).
        """
        with metrics.evaluating(model):
            logits = torch.cat([self.predict(model, x) for x, _ in self._in_order(split)])
        return metrics.classification(logits, self._y[split])

    def example(self) -> tuple[Any, ...]:
        """Returns one argument, the first `example_batch` test images."""
        x = self._x["test"]
        rows = torch.arange(self.example_batch, device=x.device) % len(x)
        return (self._prepare(x[rows]),)

    def examples_per_step(self) -> float:
        """Returns the mean number of images a step over `example_batch`."""
        return len(self._x["train"]) / self.steps() / self.example_batch

    def dimensions(self) -> dict[str, int]:
        """Returns `in_channels`, `classes` and `image_size`.

        Raises:
            DataError: The images are not square, which the zoo's networks need.
        """
        _, channels, height, width = self._x["train"].shape
        if height != width:
            raise DataError(f"{self.name}: images are {height}x{width}; the zoo's networks need square ones, pad them")
        return {"in_channels": channels, "classes": self.classes, "image_size": height}

    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its images on `device`."""
        moved = copy.copy(self)
        moved._x = {split: x.to(device) for split, x in self._x.items()}
        moved._y = {split: y.to(device) for split, y in self._y.items()}
        moved._mean, moved._std = self._mean.to(device), self._std.to(device)
        return moved

    def _prepare(self, x: Tensor) -> Tensor:
        return (x.float() - self._mean) / self._std

    def _in_order(self, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
        size = _EVALUATION_BATCH
        for x, y in zip(torch.split(self._x[split], size), torch.split(self._y[split], size), strict=True):
            yield self._prepare(x), y


def crop_and_flip(x: Tensor, draw: torch.Generator, *, margin: int = 4) -> Tensor:
    """Cuts each image out of its frame of zeros at a random place and mirrors every second one on average.

    Args:
        x: (B, C, H, W).
        draw: A CPU generator.
        margin: The width of the frame in pixels; the shift is within ± this.

    Returns:
        (B, C, H, W) of the same type.
    """
    count, _, height, width = x.shape
    top, left = torch.randint(2 * margin + 1, (2, count, 1), generator=draw)
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    mirrored = torch.rand(count, 1, generator=draw) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    framed = F.pad(x, [margin] * 4)
    image = torch.arange(count)[:, None, None]
    index = (image, rows[:, :, None], columns[:, None, :])
    cut = framed.permute(0, 2, 3, 1)[tuple(part.to(x.device) for part in index)]  # (B, H, W, C)
    return cut.permute(0, 3, 1, 2).contiguous()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns mean and standard deviation of each channel, (1, C, 1, 1); 1 in place of a deviation of 0."""
    channels = x.transpose(0, 1).flatten(1)
    if x.dtype == torch.uint8:  # exact, and without a float copy of the whole set
        counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()
        values = torch.arange(256, dtype=torch.float64, device=x.device)
        mean = counts @ values / channels.shape[1]
        variance = counts @ values.square() / channels.shape[1] - mean.square()
        std = variance.clamp(min=0.0).sqrt()
    else:
        std, mean = torch.std_mean(channels.double(), dim=1, correction=0)
    std = torch.where(std > 1e-6 * mean.abs(), std, torch.ones_like(std))
    return mean.float().view(1, -1, 1, 1), std.float().view(1, -1, 1, 1)


def _check_images(x: Tensor, part: str) -> None:
    if x.dim() != 4 or not len(x) or not (x.dtype == torch.uint8 or x.is_floating_point()):
        raise DataError(
            f"{part} images: found {x.dtype} of shape {tuple(x.shape)},"
            f" expected uint8 or float (N, C, H, W) with N at least 1"
        )
    if x.is_floating_point():
        bad = ~torch.isfinite(x).flatten(1)
        if bad.any():
            raise DataError(
                f"{part} images: {int(bad.sum())} pixels are NaN or infinite, the first in image"
                f" {int(bad.any(dim=1).nonzero()[0])}; remove or replace them"
            )
