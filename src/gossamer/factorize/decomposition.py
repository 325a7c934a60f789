"""The contract of every way to write a layer's weight as a product of smaller ones.

A decomposition says what a layer loses at each rank (`tails`), what it then costs (`macs`, `weights`), and what the
smaller weights are (`factors`); `factorize` makes the layer. At full rank the layer computes what it did, to rounding.

Errors are squared: of the weight, ‖W − W̃‖², or of the layer's outputs where a decomposition looks at its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.nn.factorized import Factorized, obstacle
from gossamer.settings import Settings

Shape = tuple[int, ...]
"""Of a weight: (N, C) of a linear layer, (N, C, K_1, ...) of a convolution."""


@dataclass(frozen=True, kw_only=True)
class Decomposition(Settings):
    """A family: how a layer's weight is written as a product."""

    by_inputs: ClassVar[bool] = False  # whether it needs the products of the layer's inputs

    @property
    def form(self) -> str:
        """The chain that it makes, one of `nn.factorized.FORMS`."""
        raise TypeError(f"{type(self).__name__} is abstract: define form")

    def alternatives(self) -> tuple[Decomposition, ...]:
        """Returns the decompositions of one form each among which the best is taken, layer by layer."""
        return (self,)

    def full(self, shape: Shape) -> tuple[int, ...]:
        """Returns the ranks at which nothing is lost."""
        raise TypeError(f"{type(self).__name__} is abstract: define full()")

    def unfoldings(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Returns the matrix, one for each rank, whose rank that is; gradients flow through."""
        raise TypeError(f"{type(self).__name__} is abstract: define unfoldings()")

    def tails(self, weight: Tensor, products: Tensor | None = None) -> tuple[Tensor, ...]:
        """Returns what is lost at each rank, for each of its ranks: the loss is the sum of what they say, or less.

        Args:
            weight: (N, C, ...), float64.
            products: (C·K, C·K), Σ x·xᵀ of the layer's inputs, where `by_inputs`.

        Returns:
            (full + 1,) float64 each: squared error at ranks 0, 1, ..., falling to 0.
        """
        del products
        return tuple(tail(torch.linalg.svdvals(matrix)) for matrix in self.unfoldings(weight))

    def macs(self, shape: Shape, ranks: Sequence[Any], places: Sequence[float]) -> Any:
        """Returns the multiply-accumulates of the chain.

        Args:
            shape: Of the layer's weight.
            ranks: One for each rank, numbers or arrays that broadcast.
            places: For a convolution, how many places there are once 0, 1, ... axes of the kernel have been gone over,
                all images together; for a linear layer how many rows, weighed by their share of nonzeros, and how many.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define macs()")

    def weights(self, shape: Shape, ranks: Sequence[Any]) -> Any:
        """Returns how many weights the chain has: its multiply-accumulates at one place."""
        return self.macs(shape, ranks, (1,) * max(2, len(shape) - 1))

    def factors(
        self, weight: Tensor, ranks: Sequence[int], products: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Returns the weights of the chain in its order, each in a shape that its layer's can be reshaped from.

        Args:
            weight: (N, C, ...), float64.
            ranks: Within `full`.
            products: As for `tails`.
            generator: On the CPU; the source of chance.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define factors()")

    @torch.no_grad()
    def factorize(
        self,
        layer: nn.Module,
        *ranks: int,
        products: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Factorized:
        """Returns a chain in place of a layer, which is left as it is.

        Args:
            layer: A linear layer, or a convolution without groups.
            ranks: One for each rank of the form; more than the full rank is the full rank.
            products: (C·K, C·K), Σ x·xᵀ of the layer's inputs, where the decomposition looks at them.
            generator: The source of chance; seeded with 0 by default.

        Raises:
            ModelError: The layer cannot take this form, or the ranks are not as many as the form has.
        """
        reason = obstacle(layer, self.form)
        if reason:
            raise ModelError(f"a {type(layer).__name__} cannot take the form {self.form!r}: {reason}")
        weight = cast("Tensor", layer.weight).detach().double()
        full = self.full(tuple(weight.shape))
        if len(ranks) != len(full) or min(ranks) < 1:
            raise ModelError(f"{self.name} has {len(full)} ranks of at least 1, found {ranks}; the full are {full}")
        ranks = tuple(min(rank, most) for rank, most in zip(ranks, full, strict=True))
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        chain = Factorized.like(layer, self.form, ranks)
        for part, factor in zip(chain, self.factors(weight, ranks, products, generator), strict=True):
            target = cast("Tensor", part.weight)
            target.copy_(factor.reshape(target.shape))
        if chain.bias is not None:
            chain.bias.copy_(cast("Tensor", layer.bias))
        return chain


def tail(singular: Tensor) -> Tensor:
    """Returns the sums of squares of all but the first r singular values, (n + 1,) for r = 0 to n.

    By Eckart and Young this is the least squared error of a matrix of rank r.

    >>> tail(torch.tensor([2.0, 1.0])).tolist()
    [5.0, 1.0, 0.0]
    """
    squares = singular.square()
    return torch.cat([squares.flip(0).cumsum(0).flip(0), squares.new_zeros(1)])


def split(basis: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Returns two factors, (M, r) and (r, L), of a matrix (M, L) projected on an orthonormal basis (M, r).

    Each pair of a column and a row is scaled to equal norms. For the left singular vectors U_r of U S Vᵀ these are
    U_r S_r^{1/2} and S_r^{1/2} V_rᵀ.
    """
    rows = basis.T @ matrix
    root = rows.norm(dim=1).sqrt()
    root = torch.where(root > 0, root, torch.ones_like(root))
    return basis * root, rows / root[:, None]
