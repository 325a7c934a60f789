r"""What a weight is worth: higher = keep.

| score | worth of a weight w with gradient g | source |
|---|---|---|
| `Magnitude` | \|w\|^p | Han et al., NeurIPS 2015 |
| `Gradient` | mean \|g\|, or \|mean g\| | as growth in Evci et al., ICML 2020 |
| `Taylor` | mean \|w·g\|^p: change of the loss without w | Molchanov et al., ICLR 2017, CVPR 2019 |
| `SignedRank` | rank of \|w\| among the weights of its sign | Mocanu et al., Nature Communications 2018 |
| `Random` | a uniform number | the control of every comparison |

Means are over training batches. These scores see one weight tensor and, at most, its gradients; those that
need more of the network lie in files of their own (`snip`, `grasp`, `synflow`, `fisher`, `obs`, `wanda`,
`sparsegpt`, `lamp`, `movement`, `coactivity`, `ensembles`) and say in `gather` what they look at, and in
`repair` how the weights that stay make up for the others. A group of weights is worth the mean over its
members (`granularity`), so `Magnitude(power=2)` ranks groups by their Euclidean norm and `Taylor(power=2)` is
the group importance of Molchanov et al. 2019 that sums the members' squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    local: ClassVar[bool] = True  # whether a weight and one gradient of it are all that it looks at
    follows_training: ClassVar[bool] = False  # whether `follow` is to be called at every training step
    needs_correlation: ClassVar[bool] = False  # whether it looks at a `Coactivity`, which sparse training can keep

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns what `score` needs to know, by weight name; the mean of `observe` unless a score says otherwise.

        The model is left as it was.

        Args:
            model: The network that `weights` belong to.
            task: Gives the batches.
            weights: What is to be scored.
            batches: How many batches at most, at least 1.
        """
        return observe_batches(self, model, task, weights, batches=batches)

    def cost(self, batches: int) -> float:
        """Returns what `gather` takes, in dense forward passes."""
        return 3.0 * batches if self.needs_gradient else 0.0

    def follow(self, past: Tensor | None, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns what to remember after one more step's gradient; asked where `follows_training`."""
        raise TypeError(f"{type(self).__name__} does not follow training")

    def repair(self, weight: Tensor, keep: Tensor, observed: Tensor | None) -> Tensor | None:
        """Returns the weight with what stays changed to make up for what goes; None where nothing changes.

        Args:
            weight: (R, ...), still whole.
            keep: Its mask, same shape, True = keep.
            observed: What `gather` returned for it.
        """
        del weight, keep, observed
        return None

    def observe(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Returns what is averaged over batches, in the shape of `weight`; asked where `needs_gradient`."""
        del weight
        return gradient

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns one score a weight, in the shape of `weight`; higher = keep.

        Args:
            weight: Any shape.
            observed: What `gather` or `follow` returned for this weight; None where it returned nothing.
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

    Empty where the score needs no gradient; see `batch_gradients` for how the model runs.
    """
    if not score.needs_gradient:
        return {}
    total = {weight.name: torch.zeros_like(weight.weight) for weight in weights}
    seen = 0
    for gradients in batch_gradients(model, task, weights, batches=batches):
        seen += 1
        for weight in weights:
            total[weight.name] += score.observe(weight.weight, gradients[weight.name]).detach()
    return {name: value / max(seen, 1) for name, value in total.items()}


def batch_gradients(
    model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int, fresh: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Yields the gradients of the first training batches, by weight name.

    The model runs in eval mode, without dropout and with fixed batch statistics, so that the answer depends
    on the weights and the data alone; modes, gradients and buffers are left as they were.

    Args:
        model: The network that `weights` belong to.
        task: Gives the batches, those of seed 0 and epoch 0, and the loss.
        weights: What to yield gradients of; one that does not take part in the loss has zeros.
        batches: How many batches at most, at least 1.
        fresh: Normalise by each batch's own statistics, for a network whose stored ones come from no training.
    """
    learning = [weight for weight in weights if weight.weight.requires_grad]
    with _own_statistics(model) if fresh else evaluating(model), torch.enable_grad():
        for seen, batch in enumerate(task.batches("train"), start=1):
            found = {weight.name: torch.zeros_like(weight.weight) for weight in weights}
            if learning:
                loss = task.loss(model, batch)
                gradients = torch.autograd.grad(loss, [weight.weight for weight in learning], allow_unused=True)
                for weight, gradient in zip(learning, gradients, strict=True):
                    if gradient is not None:
                        found[weight.name] = gradient.detach()
            yield found
            if seen == batches:
                break


@contextmanager
def _own_statistics(model: nn.Module) -> Iterator[None]:
    """Eval mode, but for batch normalisation, whose running statistics are put back at the end."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    buffers = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    with evaluating(model):
        for norm in norms:
            norm.train()
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
