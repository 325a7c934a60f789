"""A convolution as a sum of R products of vectors: 1×1, one kernel a channel along each axis, 1×1.

W[n, c, h, w] ≈ Σ_q a[n, q] b[c, q] c[h, q] d[w, q], the canonical polyadic form, becomes four convolutions with
R (C + K_h + K_w + N) weights. Lebedev, Ganin, Rakhuba, Oseledets & Lempitsky, "Speeding-up convolutional neural
networks using fine-tuned CP-decomposition", ICLR 2015. They fit it by non-linear least squares; here by alternating
least squares: with all factors but one fixed, the best last one solves a linear system,

    A = X_(a) (D ⊙ C ⊙ B) (DᵀD ∘ CᵀC ∘ BᵀB + δ I)⁻¹,

which is the best for the others but for the damping δ. It begins from the singular vectors of the unfoldings, filled
up by chance where there are fewer than R, and from chance in further restarts; the best fit counts. Columns share their
norms equally among the factors in the end, because training such chains is unstable. So is the fit, for a best one may
not exist, and even with as many products as any tensor needs it ends near W and not at it. No unfolding has the rank R,
so what is lost at each rank is measured: by short fits at R = 1, 2, 4, ..., between which it is read off along log R.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from gossamer.compression.registry import register
from gossamer.factorize.decomposition import Decomposition, Shape
from gossamer.factorize.low_rank import LowRank
from gossamer.factorize.svd import SVD
from gossamer.settings import bounded

_LETTERS = "ncxyz"
_PROBE = 20  # iterations of the fits that tell what a rank loses


@dataclass(frozen=True, kw_only=True)
class CP(Decomposition):
    """The canonical polyadic decomposition of a convolution's weight by alternating least squares."""

    name = "cp"
    iterations: int = bounded(100, ge=1)  # at most, for each start
    restarts: int = bounded(3, ge=1)  # starts: one from singular vectors, the others from chance
    damping: float = bounded(1e-6, ge=0.0)  # δ, in mean squares of a column
    tolerance: float = bounded(1e-7, ge=0.0)  # a fit ends where its error falls by less than this part of the weight's

    @property
    def form(self) -> str:
        """The chain `cp`."""
        return "cp"

    def full(self, shape: Shape) -> tuple[int, ...]:
        """Returns the product of all sizes but the largest, with which any tensor can be written."""
        return (math.prod(shape) // max(shape),)

    def unfoldings(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Returns the two long unfoldings, (C, N·K) and (N, C·K), whose ranks R bounds."""
        return weight.transpose(0, 1).flatten(1), weight.flatten(1)

    def tails(self, weight: Tensor, products: Tensor | None = None) -> tuple[Tensor, ...]:
        """Returns the errors of short fits, (full + 1,)."""
        del products
        shape = tuple(weight.shape)
        (full,) = self.full(shape)
        most = min(full, max(1, weight.numel() // self.weights(shape, (1,))))  # no more would save anything
        ranks = sorted({*(2**i for i in range(most.bit_length())), most})
        short = self.replace(iterations=_PROBE, restarts=1)
        generator = torch.Generator().manual_seed(0)
        errors = [short._fit(weight, rank, generator)[1] for rank in ranks]
        found = torch.tensor([float(weight.square().sum()), *errors], dtype=torch.float64).cummin(0).values
        at = torch.tensor([0.5, *ranks], dtype=torch.float64).log()
        places = torch.arange(1, most + 1, dtype=torch.float64).log()
        right = torch.searchsorted(at, places).clamp(1, len(ranks))
        share = ((places - at[right - 1]) / (at[right] - at[right - 1])).clamp(0.0, 1.0)
        between = found[right - 1] + share * (found[right] - found[right - 1])
        losses = torch.cat([found[:1], between, between[-1:].expand(full - most)])
        losses[full] = 0.0 if full > most else losses[full]
        return (losses,)

    def macs(self, shape: Shape, ranks: Sequence[Any], places: Sequence[float]) -> Any:
        """Returns R (C + Σ K_a + N), each at its places."""
        outputs, inputs, *kernel = shape
        along = sum(size * place for size, place in zip(kernel, places[1:], strict=True))
        return ranks[0] * (inputs * places[0] + along + outputs * places[-1])

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns (R, C), a (R, 1, ...) for each axis, and (N, R)."""
        del products
        outputs, inputs, *kernel = self._fit(weight, ranks[0], generator)[0]
        along = []
        for axis, factor in enumerate(kernel):
            sizes = [1] * len(kernel)
            sizes[axis] = len(factor)
            along.append(factor.T.reshape(ranks[0], 1, *sizes))
        return (inputs.T, *along, outputs)

    def _fit(self, weight: Tensor, rank: int, generator: torch.Generator) -> tuple[list[Tensor], float]:
        """Returns the best factors of all starts, each (size, R), and their squared error."""
        fits = [self._alternate(weight, _start(weight, rank, generator, i == 0)) for i in range(self.restarts)]
        return min(fits, key=lambda fit: fit[1])

    def _alternate(self, weight: Tensor, factors: list[Tensor]) -> tuple[list[Tensor], float]:
        energy = float(weight.square().sum())
        error, last = energy, len(factors) - 1
        grams = [factor.T @ factor for factor in factors]
        for _ in range(self.iterations):
            for mode in range(len(factors)):
                gram = torch.stack([one for i, one in enumerate(grams) if i != mode]).prod(0)
                delta = self.damping * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype).to(gram.device)
                products = _against(weight, factors, mode)
                factors[mode] = _solved(gram + delta, products.T).T
                if mode < last:
                    factors[mode] = factors[mode] / factors[mode].norm(dim=0).clamp(min=1e-30)
                grams[mode] = factors[mode].T @ factors[mode]
            # ‖W − W̃‖² = ‖W‖² − 2 ⟨W, W̃⟩ + ‖W̃‖², from what the last mode has made anyway
            found = energy - 2 * float((products * factors[last]).sum()) + float((gram * grams[last]).sum())
            before, error = error, max(found, 0.0)
            if before - error <= self.tolerance * energy:
                break
        return _balanced(factors), error


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """Returns the solution of a symmetric system, of least squares where it is singular."""
    lower, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed):
        return cast("Tensor", torch.linalg.lstsq(matrix, right).solution)
    return torch.cholesky_solve(right, lower)


def rebuilt(factors: Sequence[Tensor]) -> Tensor:
    """Returns Σ_q a[n, q] b[c, q] ..., for factors (size, R)."""
    letters = _LETTERS[: len(factors)]
    return torch.einsum(",".join(f"{letter}r" for letter in letters) + f"->{letters}", *factors)


def _against(weight: Tensor, factors: Sequence[Tensor], mode: int) -> Tensor:
    """Returns the weight times all factors but one, (size, R)."""
    letters = _LETTERS[: len(factors)]
    others = [i for i in range(len(factors)) if i != mode]
    others.sort(key=lambda i: -factors[i].shape[0])
    terms = ",".join([letters, *(f"{letters[i]}r" for i in others)])
    return torch.einsum(f"{terms}->{letters[mode]}r", weight, *(factors[i] for i in others))


def _start(weight: Tensor, rank: int, generator: torch.Generator, singular: bool) -> list[Tensor]:
    """Returns factors (size, R) to begin with."""
    factors = []
    for mode, size in enumerate(weight.shape):
        factor = torch.randn(size, rank, generator=generator, dtype=weight.dtype).to(weight.device)
        if singular:
            matrix = weight.movedim(mode, 0).flatten(1)
            basis = torch.linalg.eigh(matrix @ matrix.T)[1].flip(1)[:, :rank]
            factor[:, : basis.shape[1]] = basis
        factors.append(factor)
    return factors


def _balanced(factors: Sequence[Tensor]) -> list[Tensor]:
    """Returns factors whose columns share each product's norm equally."""
    norms = torch.stack([factor.norm(dim=0) for factor in factors])  # (modes, R)
    each = norms.prod(0).pow(1 / len(factors))
    return [factor / norm.clamp(min=1e-30) * each for factor, norm in zip(factors, norms, strict=True)]


CANONICAL = register(
    "cp",
    LowRank(linear=SVD(), convolution=CP()),
    summary="Train, write each convolution as a sum of products of vectors, one an axis, train on.",
    paper="cnn-compression-survey",
)
