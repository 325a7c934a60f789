"""Image classification that must hold up against an adversary: training by TRADES, accuracy under attack.

An attack moves each pixel by at most a radius so that a loss rises: projected gradient ascent, a step along the sign of
the gradient and back into the box (Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
2018). The training loss is that of Zhang et al., "Theoretically principled trade-off between robustness and accuracy"
(TRADES), ICML 2019: CE(f(x), y) + β · KL(f(x) ‖ f(x')), where x' is the attack on the second term, found in eval mode.
The defaults are those by which Feng et al., 2025 (arXiv 2503.20454) train.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.counting import evaluating
from gossamer.settings import Settings, bounded
from gossamer.tasks.image import ImageClassification
from gossamer.tasks.seeding import generator
from gossamer.tasks.task import Split, Task

_SPREAD = 0.001  # standard deviation of the noise from which a training attack starts, in pixel ranges


@dataclass(frozen=True, kw_only=True)
class Attack(Settings):
    """Projected gradient ascent within a box; lengths are fractions of the pixels' range, 1 = from black to white."""

    name = "attack"
    radius: float = bounded(8 / 255, ge=0.0, le=1.0)  # how far a pixel may move
    steps: int = bounded(10, ge=1)
    step: float = bounded(0.0069, gt=0.0)  # how far it moves at once
    start: Literal["noise", "box"] = "noise"  # a little normal noise, or anywhere in the box


@dataclass(frozen=True, kw_only=True)
class Robustness(Settings):
    """What a network trains against, and what it is judged by."""

    name = "robustness"
    beta: float = bounded(6.0, ge=0.0)  # β: how much the answers under attack count in training
    train: Attack = field(default_factory=Attack)
    test: Attack = field(default_factory=lambda: Attack(start="box"))


_DEFAULT = Robustness()


class Robust(Task):
    """An image task with an adversary; its headline metric is accuracy under attack, with accuracy without it beside.

    Args:
        images: What must be classified.
        robustness: The attacks, and how much they count.
    """

    metric = "robust_accuracy"

    def __init__(self, images: ImageClassification, robustness: Robustness = _DEFAULT) -> None:
        self.name = f"robust-{images.name}"
        self.images = images
        self.batch_size = images.batch_size
        self.robustness = robustness

    def steps(self) -> int:
        """Returns those of the images."""
        return self.images.steps()

    def batches(self, split: Split, *, seed: int = 0, epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields those of the images."""
        yield from self.images.batches(split, seed=seed, epoch=epoch)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Returns CE(f(x), y) + β · KL(f(x) ‖ f(x')), means over a batch; chance is PyTorch's, as in dropout."""
        x, y = batch
        if not self.robustness.beta:
            return self.images.loss(model, batch)
        attack = self.robustness.train
        with evaluating(model):
            with torch.no_grad():
                calm = self.images.predict(model, x)
            start = torch.randn_like(x) if attack.start == "noise" else 2.0 * torch.rand_like(x) - 1.0
            moved = self.attacked(x, lambda x: divergence(calm, self.images.predict(model, x)), attack, start)
        logits = self.images.predict(model, x)
        apart = divergence(logits, self.images.predict(model, moved))
        return F.cross_entropy(logits, y) + self.robustness.beta * apart

    def evaluate(self, model: nn.Module, split: Split) -> dict[str, float]:
        """Returns the accuracy under attack on the cross entropy, then accuracy and macro-F1 without."""
        return {"robust_accuracy": self.accuracy_under(model, split, self.robustness.test)} | self.images.evaluate(
            model, split
        )

    def accuracy_under(self, model: nn.Module, split: Split, attack: Attack) -> float:
        """Returns the fraction of a split that is right under an attack on the cross entropy, which is always the same.

        Args:
            model: The network; it runs in eval mode.
            split: The images.
            attack: A `radius` of 0 gives the accuracy without attack.
        """
        draw = generator(0, 0)
        hits = count = 0
        with evaluating(model):
            for x, y in self.batches(split):
                chance = torch.randn if attack.start == "noise" else torch.rand
                start = chance(x.shape, generator=draw).to(x)
                start = start if attack.start == "noise" else 2.0 * start - 1.0

                def wrong(x: Tensor, y: Tensor = y) -> Tensor:
                    return F.cross_entropy(self.images.predict(model, x), y)

                with torch.no_grad():
                    answers = self.images.predict(model, self.attacked(x, wrong, attack, start)).argmax(1)
                hits, count = hits + int((answers == y).sum()), count + len(y)
        return hits / max(count, 1)

    def attacked(self, x: Tensor, loss: Callable[[Tensor], Tensor], attack: Attack, start: Tensor) -> Tensor:
        """Returns images moved within the box around `x` so that a loss rises.

        Args:
            x: (B, C, H, W), standardised.
            loss: Of images such as these, a scalar.
            attack: How far and in how many steps.
            start: In the shape of `x`: normal numbers, or numbers in [-1, 1], as `attack.start` says.
        """
        low, high = self.images.pixel_range()
        full = high - low
        radius, step = attack.radius * full, attack.step * full
        first = _SPREAD * full if attack.start == "noise" else radius
        moved = x + first * start
        for _ in range(attack.steps):
            moved = moved.detach().clamp(min=x - radius, max=x + radius).clamp(min=low, max=high)
            with torch.enable_grad():
                moved.requires_grad_()
                (gradient,) = torch.autograd.grad(loss(moved), moved)
            moved = moved + step * gradient.sign()
        return moved.detach().clamp(min=x - radius, max=x + radius).clamp(min=low, max=high)

    def with_batch_size(self, batch_size: int) -> Self:
        """Returns this task on the images with that batch size."""
        other = super().with_batch_size(batch_size)
        other.images = self.images.with_batch_size(batch_size)
        return other

    def example(self) -> tuple[Any, ...]:
        """Returns that of the images."""
        return self.images.example()

    def examples_per_step(self) -> float:
        """Returns that of the images: what an attack takes is no part of a step's count."""
        return self.images.examples_per_step()

    def dimensions(self) -> dict[str, int]:
        """Returns those of the images."""
        return self.images.dimensions()

    def to(self, device: torch.device | str) -> Self:
        """Returns this task with its images on `device`."""
        moved = copy.copy(self)
        moved.images = self.images.to(device)
        return moved


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Returns KL(softmax(logits) ‖ softmax(others)), the mean over the rows of (B, classes)."""
    return F.kl_div(others.log_softmax(1), logits.log_softmax(1), reduction="batchmean", log_target=True)
