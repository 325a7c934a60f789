"""Weights without their zeros: packed matrices, and the interface of the layers that use them.

A packed layer holds what it stores as parameters, so that counting them counts what is there, and optimisers keep
state for that and no more. The *state dict* of a layer for prediction holds the dense `weight` and `bias`, exactly as
the layer it replaced: a file does not depend on the kernel that was fastest on the machine that wrote it, and loading
packs again. That of a layer in training holds the pattern and its values, because a stored weight may be zero; either
layer loads both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from gossamer.errors import DataError
from gossamer.kernels.block_matmul import block_linear, block_matmul, run_block_product
from gossamer.kernels.blocks import from_blocks
from gossamer.kernels.checks import check_csr
from gossamer.kernels.csr_matmul import csr_linear, csr_matmul, run_csr_product
from gossamer.kernels.products import direct


class Matrix(nn.Module, ABC):
    """The interface of a packed matrix (R, C), which stores units in order of their place.

    A unit is what is stored or removed together: one weight, or one column of 16 or 8 rows. The *place* of a
    unit is band · C + column, where a band is what shares a column's fate: one row, or 16 or 8.

    Attributes:
        indptr: (bands + 1,) int64: band b holds units indptr[b] to indptr[b + 1].
        indices: (n,) int32, the columns of the units, ascending within a band.
        values: Parameter, (n,), or (n, height) in blocks.
    """

    kernel: ClassVar[str]
    height: ClassVar[int]  # rows of a band
    rows: int
    columns: int
    indptr: Tensor
    indices: Tensor
    values: nn.Parameter

    def __init__(self, rows: int, columns: int, dtype: torch.dtype | None = None) -> None:
        """Makes a matrix (rows, columns) that stores nothing yet."""
        super().__init__()
        self.rows, self.columns = rows, columns
        unit = () if self.height == 1 else (self.height,)
        self.values = nn.Parameter(torch.empty(0, *unit, dtype=dtype), requires_grad=False)
        self._set_places(torch.empty(0, dtype=torch.int64))

    def pack(self, dense: Tensor, keep: Tensor | None = None) -> None:
        """Takes over a dense matrix.

        Args:
            dense: (R, C).
            keep: (R, C) bool, which weights to store, zeros included; None stores what is not zero. A unit is stored
                whole if any of its weights is to be.
        """
        dense = dense.detach()
        chosen = dense != 0 if keep is None else keep
        places = self._bands(chosen).any(1).flatten().nonzero().flatten()
        self.values.data = self._at(dense if keep is None else dense * keep, places)
        self.values.grad = None
        self._set_places(places)

    @property
    def bands(self) -> int:
        """How many bands there are: ceil(R / height)."""
        return -(-self.rows // self.height)

    @property
    def places(self) -> Tensor:
        """The places of the stored units, (n,) int64, ascending."""
        band = torch.repeat_interleave(self.indptr.diff(), output_size=self.indices.shape[0])
        return band * self.columns + self.indices

    @abstractmethod
    def dense(self) -> Tensor:
        """Returns the dense matrix, (R, C), made anew."""

    def linear(self, x: Tensor, bias: Tensor | None, relu: bool = False) -> Tensor:
        """Returns relu(x · matrixᵀ + bias) for x (..., C), (..., R); without `relu` what is inside."""
        values = self._parameters.get("values")  # by attribute, modules take several times as long to find it
        if values is not None and direct(x, values, bias):
            return self._run(x, values, bias, relu)
        return self._linear(x, bias, relu)

    @abstractmethod
    def matmul(self, x: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
        """Returns relu(matrix · x + bias) for x (C, B), (R, B); without `relu` what is inside."""

    @abstractmethod
    def _linear(self, x: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        """The product as an operator."""

    @abstractmethod
    def _run(self, x: Tensor, values: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        """The product by its kernel, for x (B, C)."""

    def move(self, kept: Tensor, grown: Tensor) -> Tensor:
        """Stores other units instead: those kept keep their values, those grown start at zero, even if stored before.

        Args:
            kept: (k,) int64, places of stored units, ascending.
            grown: (g,) int64, places that are not among them, distinct, in any order.

        Returns:
            For each unit now stored, in order of place, its number before, or -1 if it is grown: (k + g,) int64.
        """
        places, order = torch.cat([kept, grown]).sort()
        numbers = torch.searchsorted(self.places, kept)
        source = torch.cat([numbers, torch.full_like(grown, -1)])[order]
        self.values.data = take(self.values.data, source)
        self.values.grad = None
        self._set_places(places)
        return source

    def restore(self, indptr: Tensor, indices: Tensor, values: Tensor) -> None:
        """Takes over a pattern and its values, for the same R and C.

        Raises:
            DataError: The pattern is not one of this matrix.
        """
        check_csr(indptr, indices, (self.bands, self.columns))
        if values.shape != (indices.shape[0], *self.values.shape[1:]):
            unit = "" if self.height == 1 else f", {self.height}"
            raise DataError(f"values: found shape {tuple(values.shape)}, expected ({indices.shape[0]},{unit})")
        device = self.values.device
        self.values.data = values.detach().to(device).clone()
        self.values.grad = None
        self.register_buffer("indptr", indptr.to(device).clone(), persistent=False)
        self.register_buffer("indices", indices.to(device, torch.int32, copy=True), persistent=False)

    def pool(self, scores: Tensor, band: int) -> Tensor:
        """Returns one score a unit, (k · C,), from one a weight, (rows, C), of the k bands from `band` on: the mean."""
        bands = -(-scores.shape[0] // self.height)
        padded = torch.nn.functional.pad(scores, (0, 0, 0, bands * self.height - scores.shape[0]))
        sums = padded.view(bands, self.height, self.columns).sum(1)
        return (sums / self._heights(torch.arange(band, band + bands, device=scores.device))[:, None]).flatten()

    def worth(self, scores: Tensor) -> Tensor:
        """Returns one score a stored unit, (n,), from one a stored value, shaped as `values`: the mean."""
        if scores.dim() == 1:
            return scores
        return scores.sum(1) / self._heights(self.places // max(self.columns, 1))

    def clear_padding(self) -> None:
        """Makes the values zero that stand in rows beyond R."""
        if self.height > 1 and self.rows % self.height:
            self.values.data[int(self.indptr[-2]) :, self.rows % self.height :] = 0.0

    def _heights(self, bands: Tensor) -> Tensor:
        """Returns how many rows these bands have: `height`, or what is left for the last."""
        return (self.rows - bands * self.height).clamp(max=self.height)

    def _bands(self, matrix: Tensor) -> Tensor:
        """Returns a matrix (R, C) as (bands, height, C), padded with zeros."""
        padded = torch.nn.functional.pad(matrix, (0, 0, 0, self.bands * self.height - self.rows))
        return padded.reshape(self.bands, self.height, self.columns)

    @abstractmethod
    def _at(self, dense: Tensor, places: Tensor) -> Tensor:
        """Returns the values of a dense matrix at these places."""

    def _set_places(self, places: Tensor) -> None:
        counts = torch.bincount(places // max(self.columns, 1), minlength=self.bands)
        self.register_buffer("indptr", torch.nn.functional.pad(counts.cumsum(0), (1, 0)), persistent=False)
        self.register_buffer("indices", (places % max(self.columns, 1)).to(torch.int32), persistent=False)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        del destination, prefix, keep_vars  # the layer saves it

    def _load_from_state_dict(self, state_dict: dict[str, Any], *rest: Any) -> None:
        del state_dict, rest


class CSRMatrix(Matrix):
    """Row by row, each stored weight with its column: `indptr` (R + 1,), `indices` and `values` (nnz,)."""

    kernel = "csr"
    height = 1

    def dense(self) -> Tensor:
        """Returns the dense matrix, (R, C), made anew."""
        dense = self.values.new_zeros(self.rows * self.columns)
        dense[self.places] = self.values.detach()
        return dense.view(self.rows, self.columns)

    def matmul(self, x: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
        """Returns relu(matrix · x + bias) for x (C, B), (R, B); without `relu` what is inside."""
        return csr_matmul(self.indptr, self.indices, self.values, x, bias, relu)

    def _linear(self, x: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        return csr_linear(self.indptr, self.indices, self.values, x, bias, relu)

    def _run(self, x: Tensor, values: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        held: Any = self._buffers
        return run_csr_product(held["indptr"], held["indices"], values, x, bias, True, relu)

    def _at(self, dense: Tensor, places: Tensor) -> Tensor:
        return dense.flatten()[places]


class BlockMatrix(Matrix):
    """Blocks of 16 rows that share columns: `indptr` (⌈R / 16⌉ + 1,), `indices` (n,), `values` (n, 16)."""

    kernel = "blocks"
    height = 16

    def dense(self) -> Tensor:
        """Returns the dense matrix, (R, C), made anew."""
        return from_blocks(self.indptr, self.indices, self.values.detach(), self.rows, self.columns)

    def matmul(self, x: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
        """Returns relu(matrix · x + bias) for x (C, B), (R, B); without `relu` what is inside."""
        return block_matmul(self.indptr, self.indices, self.values, x, self.rows, bias, relu)

    def _linear(self, x: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        return block_linear(self.indptr, self.indices, self.values, x, self.rows, bias, relu)

    def _run(self, x: Tensor, values: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
        held: Any = self._buffers
        return run_block_product(held["indptr"], held["indices"], values, x, self.rows, bias, True, relu)

    def _at(self, dense: Tensor, places: Tensor) -> Tensor:
        return self._bands(dense)[places // max(self.columns, 1), :, places % max(self.columns, 1)].contiguous()


class NarrowBlockMatrix(BlockMatrix):
    """Blocks of 8 rows that share columns: `indptr` (⌈R / 8⌉ + 1,), `indices` (n,), `values` (n, 8)."""

    kernel = "blocks8"
    height = 8


MATRICES: dict[str, type[Matrix]] = {kind.kernel: kind for kind in (CSRMatrix, BlockMatrix, NarrowBlockMatrix)}
"""The packed matrices by the name of their kernel."""


PATTERN = {"indptr", "indices", "values"}  # what the state dict of a layer in training holds instead of a weight


class Packed(nn.Module, ABC):
    """The interface of a layer whose weight is packed.

    Attributes:
        kernel: The name by which `deploy.accelerate`, plans and reports know it: csr, blocks, blocks8 or compact.
        bias: (R,) parameter, or None.
        relu: Whether the ReLU behind the layer is part of it; may be set at any time, and no state dict holds it.
    """

    kernel: str
    bias: nn.Parameter | None
    relu: bool

    @classmethod
    @abstractmethod
    def from_dense(cls, layer: nn.Module, *, relu: bool = False) -> Self:
        """Packs a dense layer, which is left as it is, and with `relu` the ReLU behind it.

        Raises:
            ModelError: The layer is of another kind or uses an option that this one cannot follow.
        """

    @abstractmethod
    def pack(self, weight: Tensor) -> None:
        """Takes over a dense weight, in the shape that the dense layer has it."""

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The dense weight, made anew at each access."""

    def _stored(self) -> dict[str, Tensor]:
        """What the state dict holds of the weight, by name."""
        return {"weight": self.weight}

    def _restore(self, stored: dict[str, Tensor]) -> None:
        """Takes over what `_stored` returned, here or in another packed layer."""
        if "weight" not in stored:
            raise DataError(f"found a sparse pattern, but {type(self).__name__} holds none; expected a dense weight")
        self.pack(stored["weight"].to(self.weight.device))

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        del keep_vars
        destination.update({prefix + name: tensor.detach() for name, tensor in self._stored().items()})
        if self.bias is not None:
            destination[prefix + "bias"] = self.bias.detach()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        _, strict, missing_keys, unexpected_keys, error_msgs = rest
        given = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        shapes: dict[str, Any] = {} if self.bias is None else {"bias": self.bias.shape}
        pattern = PATTERN & given.keys()
        shapes |= dict.fromkeys(PATTERN) if pattern else {"weight": self.weight.shape}
        if strict:
            missing_keys.extend(prefix + name for name in shapes if name not in given)
            unexpected_keys.extend(prefix + name for name in given if name not in shapes)
        wrong = [
            f"{prefix}{name}: found {tuple(given[name].shape)}, expected {tuple(shape)}"
            for name, shape in shapes.items()
            if name in given and shape is not None and given[name].shape != shape
        ]
        error_msgs.extend(wrong)
        weight = PATTERN if pattern else {"weight"}
        if not wrong and weight <= given.keys():
            try:
                self._restore({name: given[name].detach() for name in weight})
            except DataError as error:
                error_msgs.append(f"{prefix}weight: {error}")
        if not wrong and self.bias is not None and "bias" in given:
            with torch.no_grad():
                self.bias.copy_(given["bias"])


def frozen(tensor: Tensor) -> nn.Parameter:
    """Returns a parameter with a copy of `tensor` that asks for no gradient."""
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)


def take(values: Tensor, source: Tensor) -> Tensor:
    """Returns `values[source]` along the first axis, with zeros where `source` is -1."""
    if values.shape[0] == 0:
        return values.new_zeros(source.shape[0], *values.shape[1:])
    new = (source < 0).view(-1, *[1] * (values.dim() - 1))
    return values.index_select(0, source.clamp(min=0)).masked_fill_(new, 0.0)
