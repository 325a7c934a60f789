r"""Which removed weights come back in sparse training: higher = grow.

| growth | candidate's score | source |
|---|---|---|
| `ByGradient` | \|gradient\| of the current mini-batch | Evci et al., "Rigging the lottery", ICML 2020 |
| `AtRandom` | a uniform number | Mocanu et al., Nature Communications 2018 |
| `Untried` | a uniform number, those never active before all others | spreads exploration |
| `ByMomentum` | \|running mean of gradients\| | Dettmers & Zettlemoyer, 2019 |

`ByMomentum` keeps its own running sum of dense gradients instead of reading the optimiser's, which is masked
and which not every optimiser has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class Growth(Settings):
    """A family: which removed weights come back."""

    dense_gradient: ClassVar[Literal["never", "at updates", "always"]] = "never"  # when it looks at removed weights

    def remember(self, past: Tensor | None, gradient: Tensor) -> Tensor:
        """Returns what to keep of a dense gradient, in new memory, given what was kept before."""
        del past
        return gradient.clone()

    def score(self, gradient: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns one score a weight, (R, C); higher = grow.

        Args:
            gradient: Dense gradient, or its running sum (R, C); None where `dense_gradient` is "never".
            tried: Which weights have been active at any time, (R, C) bool.
            generator: On the CPU; the source of chance.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define score()")

    def step_cost(self, share: float, every: int) -> float:
        """Returns the mean cost of a training step, in dense forward passes.

        A forward pass costs `share`, and so do the gradients of inputs and of weights; where the dense
        gradient is needed, the last costs 1.

        Args:
            share: Cost of a sparse forward pass over that of a dense one.
            every: Steps between updates.
        """
        del every
        return 3.0 * share


@dataclass(frozen=True, kw_only=True)
class ByGradient(Growth):
    """Where the loss would fall fastest."""

    name = "by-gradient"
    dense_gradient = "at updates"

    def score(self, gradient: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns |gradient|."""
        del tried, generator
        assert gradient is not None
        return gradient.abs()

    def step_cost(self, share: float, every: int) -> float:
        """Returns (3·f_S·ΔT + 2·f_S + f_D) / (ΔT + 1): ΔT sparse steps, then one with a dense gradient."""
        return (3.0 * share * every + 2.0 * share + 1.0) / (every + 1)


@dataclass(frozen=True, kw_only=True)
class AtRandom(Growth):
    """Anywhere."""

    name = "at-random"

    def score(self, gradient: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns uniform numbers, float64."""
        del gradient
        return _uniform(tried, generator)


@dataclass(frozen=True, kw_only=True)
class Untried(Growth):
    """Anywhere it has not been yet; once all is tried, anywhere."""

    name = "untried"

    def score(self, gradient: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns uniform numbers, float64, with 1 added where a weight was never active."""
        del gradient
        return _uniform(tried, generator) + (~tried).double()


@dataclass(frozen=True, kw_only=True)
class ByMomentum(Growth):
    """Where gradients have agreed for a while."""

    name = "by-momentum"
    dense_gradient = "always"
    decay: float = bounded(0.9, ge=0.0, lt=1.0)  # of the running sum, a step

    def remember(self, past: Tensor | None, gradient: Tensor) -> Tensor:
        """Returns decay · past + gradient."""
        return gradient.clone() if past is None else self.decay * past + gradient

    def score(self, gradient: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns |running sum|."""
        del tried, generator
        assert gradient is not None
        return gradient.abs()

    def step_cost(self, share: float, every: int) -> float:
        """Returns 2·f_S + f_D: every step needs the dense gradient."""
        del every
        return 2.0 * share + 1.0


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, dtype=torch.float64).to(like.device)
