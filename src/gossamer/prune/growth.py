r"""Which removed weights come back in sparse training: higher = grow.

| growth | candidate's score | source |
|---|---|---|
| `ByGradient` | \|gradient\| of the current mini-batch | Evci et al., "Rigging the lottery", ICML 2020 |
| `AtRandom` | a uniform number | Mocanu et al., Nature Communications 2018 |
| `Untried` | a uniform number, those never active before all others | spreads exploration |
| `ByMomentum` | \|running mean of gradients\| | Dettmers & Zettlemoyer, 2019 |
| `ByHebb` | correlation of what the weight would read and write | Konstantaropoulos et al., BIBE 2025 |

`ByMomentum` keeps its own running sum of dense gradients instead of reading the optimiser's, which is masked
and which not every optimiser has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from gossamer.prune.coactivity import Statistics
from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class Growth(Settings):
    """A family: which removed weights come back."""

    dense_gradient: ClassVar[Literal["never", "at updates", "always"]] = "never"  # when it looks at removed weights

    @property
    def watched(self) -> Statistics | None:
        """How it wants the activity of layers to be averaged; None where it does not look at it."""
        return None

    def remember(self, past: Tensor | None, gradient: Tensor) -> Tensor:
        """Returns what to keep of a dense gradient, in new memory, given what was kept before."""
        del past
        return gradient.clone()

    def score(self, seen: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns one score a weight, (R, C); higher = grow.

        Args:
            seen: Dense gradient, or its running sum (R, C). Where activity is `watched`, the correlation of what each
                weight reads and writes, NaN where too little happens, or None for a layer that cannot be watched.
            tried: Which weights have been active at any time, (R, C) bool.
            generator: On the CPU; the source of chance.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define score()")

    def begin(self, seen: Tensor | None, scale: float) -> Tensor | None:
        """Returns what grown weights start at, (R, C); None for zero.

        Args:
            seen: As for `score`.
            scale: Standard deviation of the layer's active weights.
        """
        del seen, scale
        return None

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

    def score(self, seen: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns |gradient|."""
        del tried, generator
        assert seen is not None
        return seen.abs()

    def step_cost(self, share: float, every: int) -> float:
        """Returns (3·f_S·ΔT + 2·f_S + f_D) / (ΔT + 1): ΔT sparse steps, then one with a dense gradient."""
        return (3.0 * share * every + 2.0 * share + 1.0) / (every + 1)


@dataclass(frozen=True, kw_only=True)
class AtRandom(Growth):
    """Anywhere."""

    name = "at-random"

    def score(self, seen: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns uniform numbers, float64."""
        del seen
        return _uniform(tried, generator)


@dataclass(frozen=True, kw_only=True)
class Untried(Growth):
    """Anywhere it has not been yet; once all is tried, anywhere."""

    name = "untried"

    def score(self, seen: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns uniform numbers, float64, with 1 added where a weight was never active."""
        del seen
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

    def score(self, seen: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns |running sum|."""
        del tried, generator
        assert seen is not None
        return seen.abs()

    def step_cost(self, share: float, every: int) -> float:
        """Returns 2·f_S + f_D: every step needs the dense gradient."""
        del every
        return 2.0 * share + 1.0


@dataclass(frozen=True, kw_only=True)
class ByHebb(Growth):
    """Between units that are active together. A layer that cannot be watched grows at random."""

    name = "by-hebb"
    statistics: Statistics = field(default_factory=Statistics)
    absolute: bool = False  # whether units that are active in turn are as good as those active together
    temperature: float = bounded(0.0, ge=0.0)  # T: draws with odds exp(C / T); 0 = takes the largest
    start: float = bounded(0.0, ge=0.0)  # grown weights begin at ± this many deviations of the active ones; 0 = at zero

    @property
    def watched(self) -> Statistics:
        """The statistics."""
        return self.statistics

    def score(self, seen: Tensor | None, tried: Tensor, generator: torch.Generator) -> Tensor:
        """Returns C or |C|, with Gumbel noise of size T where it draws; unknown correlations come after all others."""
        if seen is None:
            return _uniform(tried, generator)
        promise = seen.abs() if self.absolute else seen
        if self.temperature:  # the largest of C / T + Gumbel noise are drawn with odds exp(C / T), without replacement
            promise = promise / self.temperature - (-_uniform(tried, generator).clamp(min=1e-300).log()).log()
        known = promise[~promise.isnan()]
        lowest = float(known.min()) if len(known) else 0.0
        return promise.nan_to_num(nan=lowest - 1.0)

    def begin(self, seen: Tensor | None, scale: float) -> Tensor | None:
        """Returns start · sign(C) · scale; zero where C is not known."""
        if seen is None or not self.start:
            return None
        return self.start * scale * seen.nan_to_num(nan=0.0).sign()

    def step_cost(self, share: float, every: int) -> float:
        """Returns 3·f_S + f_D: products of activities at every step, at most as many as in a dense forward pass."""
        del every
        return 3.0 * share + 1.0


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, dtype=torch.float64).to(like.device)
