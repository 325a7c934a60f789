"""How well-conditioned the weights of a network are, and what its Lipschitz constant is bounded by.

A weight is a matrix W with one row an output, (C_out, C_in·kh·kw) for a convolution. Its condition number is the ratio
of its largest to its smallest singular value, infinite once a row or column too many is gone; that of the nonzero
singular values says how it is apart from that. The product of the largest singular values bounds how much a chain of
layers with ReLU stretches a difference of inputs; a convolution stretches by at most √(kh·kw) times the norm of its
matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from gossamer.prune.weights import PrunableWeight

_RELATIVE = 1e-6  # singular values below this part of the largest count as zero: rounding of float32


@dataclass(frozen=True)
class Spectrum:
    """Of one weight.

    Attributes:
        name: The parameter's name.
        norm: The largest singular value.
        condition: Ratio of the largest to the smallest, at least 1; infinite where that is zero.
        nonzero_condition: Ratio of the largest to the smallest that is not zero; 1 where all are.
        stretch: By how much the layer can stretch a difference of inputs, a bound from above.
    """

    name: str
    norm: float
    condition: float
    nonzero_condition: float
    stretch: float

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object; None stands for infinity."""
        finite = math.isfinite(self.condition)
        return {
            "name": self.name,
            "norm": self.norm,
            "condition": self.condition if finite else None,
            "nonzero_condition": self.nonzero_condition,
            "stretch": self.stretch,
        }


def spectra(weights: Sequence[PrunableWeight]) -> tuple[Spectrum, ...]:
    """Returns the spectrum of each weight, computed in double precision."""
    return tuple(_spectrum(weight) for weight in weights)


def summary(found: Sequence[Spectrum]) -> dict[str, Any]:
    """Returns the medians over layers, the bound of the Lipschitz constant, and all layers, as a JSON object."""
    condition = median(spectrum.condition for spectrum in found)
    return {
        "median_condition": condition if math.isfinite(condition) else None,
        "median_nonzero_condition": median(spectrum.nonzero_condition for spectrum in found),
        "lipschitz_bound": math.prod(spectrum.stretch for spectrum in found),
        "layers": [spectrum.to_json() for spectrum in found],
    }


@torch.no_grad()
def _spectrum(weight: PrunableWeight) -> Spectrum:
    values = torch.linalg.svdvals(weight.matrix(weight.weight.detach()).double())  # falling
    largest, smallest = float(values[0]), float(values[-1])
    nonzero = values[values > _RELATIVE * largest]
    places = math.prod(weight.weight.shape[2:])
    return Spectrum(
        name=weight.name,
        norm=largest,
        condition=largest / smallest if smallest > _RELATIVE * largest else math.inf,
        nonzero_condition=largest / float(nonzero[-1]) if len(nonzero) else 1.0,
        stretch=largest * math.sqrt(places),
    )
