r"""What a weight is worth: higher = keep.

| score | worth of a weight w with gradient g | source |
|---|---|---|
| `Magnitude` | \|w\|^p | Han et al., NeurIPS 2015 |
| `Gradient` | mean \|g\|, or \|mean g\| | as growth in Evci et al., ICML 2020 |
| `Taylor` | mean \|w·g\|^p: change of the loss without w | Molchanov et al., ICLR 2017, CVPR 2019 |
| `SignedRank` | rank of \|w\| among the weights of its sign | Mocanu et al., Nature Communications 2018 |
| `Random` | a uniform number | the control of every comparison |

Means are over training batches. A score sees one weight tensor and knows nothing of models or masks. A group
of weights is worth the mean over its members (`granularity`), so `Magnitude(power=2)` ranks groups by their
Euclidean norm and `Taylor(power=2)` is the group importance of Molchanov et al. 2019 that sums the members'
squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from gossamer.counting import evaluating
from gossamer.prune.weights import PrunableWeight
from gossamer.settings import Settings, bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Score(Settings):
    """A family: what a weight is worth."""

    needs_gradient: ClassVar[bool] = False

    def observe(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns what is averaged over batches, in the shape of `weight`; asked where `needs_gradient`."""
        del weight
        return gradient

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns one score a weight, in the shape of `weight`; higher = keep.

        Args:
            weight: Any shape.
            observed: Mean of `observe` over batches; None unless `needs_gradient`.
            generator: On the CPU; the source of chance.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define score()")


@dataclass(frozen=True, kw_only=True)
class Magnitude(Score):
    """|w|^power."""

    name = "magnitude"
    power: float = bounded(1.0, gt=0.0)  # matters for groups only: 2 = by Euclidean norm

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns |weight|^power."""
        del observed, generator
        size = weight.detach().abs()
        return size if self.power == 1.0 else size**self.power


@dataclass(frozen=True, kw_only=True)
class Gradient(Score):
    """Mean of |gradient| over batches, or size of the mean gradient."""

    name = "gradient"
    needs_gradient = True
    average: Literal["absolute", "signed"] = "absolute"  # "signed" lets batches that disagree cancel

    def observe(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns |g| or g."""
        del weight
        return gradient.abs() if self.average == "absolute" else gradient

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns |mean of what was observed|."""
        del weight, generator
        assert observed is not None
        return observed.abs()


@dataclass(frozen=True, kw_only=True)
class Taylor(Score):
    """Mean of |w·g|^power over batches."""

    name = "taylor"
    needs_gradient = True
    power: float = bounded(1.0, gt=0.0)  # 1: Molchanov et al. 2017; 2: 2019, the one for groups

    def observe(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns |w·g|^power."""
        product = (weight.detach() * gradient).abs()
        return product if self.power == 1.0 else product**self.power

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns the mean of what was observed."""
        del weight, generator
        assert observed is not None
        return observed


@dataclass(frozen=True, kw_only=True)
class SignedRank(Score):
    """Rank of |w| among the weights of the same sign, from 1; zeros are worth 0.

    Dropping the lowest ranks drops as many positive as negative weights, those nearest to zero.
    """

    name = "signed-rank"

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns ranks as float64: exact up to 2^53 weights."""
        del observed, generator
        flat = weight.detach().flatten()
        rank = torch.zeros_like(flat, dtype=torch.float64)
        for side in (flat > 0, flat < 0):
            order = flat[side].abs().argsort(stable=True)
            place = torch.empty_like(order)
            place[order] = torch.arange(1, len(order) + 1, device=flat.device)
            rank[side] = place.double()
        return rank.view_as(weight)


@dataclass(frozen=True, kw_only=True)
class Random(Score):
    """A uniform number in [0, 1)."""

    name = "random"

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns float64 numbers from `generator`."""
        del observed
        return torch.rand(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)


def observe_batches(
    score: Score, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
) -> dict[str, Tensor]:
    """Returns the mean of `score.observe` over the first training batches, by weight name.

    The model runs in eval mode, without dropout and with fixed batch statistics, so that the answer depends
    on the weights and the data alone; modes, gradients and buffers are left as they were. Empty where the
    score needs no gradient.

    Args:
        score: What to observe.
        model: The network that `weights` belong to.
        task: Gives the batches, those of seed 0 and epoch 0, and the loss.
        weights: What to observe it on; one that does not take part in the loss observes zeros.
        batches: How many batches at most, at least 1.
    """
    if not score.needs_gradient:
        return {}
    total = {weight.name: torch.zeros_like(weight.weight) for weight in weights}
    learning = [weight for weight in weights if weight.weight.requires_grad]
    seen = 0
    with evaluating(model), torch.enable_grad():
        for seen, batch in enumerate(task.batches("train"), start=1):
            loss = task.loss(model, batch)
            gradients = torch.autograd.grad(loss, [weight.weight for weight in learning], allow_unused=True)
            for weight, gradient in zip(learning, gradients, strict=True):
                if gradient is not None:
                    total[weight.name] += score.observe(weight.weight, gradient).detach()
            if seen == batches:
                break
    return {name: value / max(seen, 1) for name, value in total.items()}
