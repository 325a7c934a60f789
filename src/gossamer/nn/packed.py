"""Weights without their zeros: two packed matrices, and the interface of the layers that use them.

A packed layer holds what it stores as parameters, so that counting them counts what is there. Its *state
dict* holds the dense `weight` and `bias`, exactly as the layer it replaced: a file does not depend on the
kernel that was fastest on the machine that wrote it, and loading a state dict packs again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from gossamer.kernels.block_matmul import block_linear, block_matmul
from gossamer.kernels.blocks import from_blocks, to_blocks
from gossamer.kernels.csr_matmul import csr_linear, csr_matmul


class Matrix(nn.Module, ABC):
    """The interface of a packed matrix (R, C); it has no state dict of its own."""

    kernel: ClassVar[str]
    rows: int
    columns: int
    indptr: Tensor
    indices: Tensor
    values: nn.Parameter

    def __init__(self, dense: Tensor) -> None:
        super().__init__()
        self.rows, self.columns = dense.shape
        self._pack(dense.detach())

    @abstractmethod
    def _pack(self, dense: Tensor) -> None:
        """Makes the parameter `values` and the buffers beside it."""

    @abstractmethod
    def dense(self) -> Tensor:
        """Returns the dense matrix, (R, C)."""

    @abstractmethod
    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Returns x · matrixᵀ + bias for x (..., C), (..., R)."""

    @abstractmethod
    def matmul(self, x: Tensor) -> Tensor:
        """Returns matrix · x for x (C, B), (R, B)."""

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        del destination, prefix, keep_vars

    def _load_from_state_dict(self, state_dict: dict[str, Any], *rest: Any) -> None:
        del state_dict, rest


class CSRMatrix(Matrix):
    """Row by row, each nonzero with its column: `indptr` (R + 1,), `indices` and `values` (nnz,)."""

    kernel = "csr"

    def _pack(self, dense: Tensor) -> None:
        row, column = dense.nonzero(as_tuple=True)
        counts = torch.bincount(row, minlength=self.rows)
        indptr = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
        self.register_buffer("indptr", indptr, persistent=False)
        self.register_buffer("indices", column.to(torch.int32), persistent=False)
        self.values = frozen(dense[row, column])

    def dense(self) -> Tensor:
        """Returns the dense matrix, (R, C)."""
        row = torch.repeat_interleave(self.indptr.diff(), output_size=self.indices.shape[0])
        dense = self.values.new_zeros(self.rows, self.columns)
        dense[row, self.indices] = self.values.detach()
        return dense

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Returns x · matrixᵀ + bias for x (..., C), (..., R)."""
        return csr_linear(self.indptr, self.indices, self.values, x, bias)

    def matmul(self, x: Tensor) -> Tensor:
        """Returns matrix · x for x (C, B), (R, B)."""
        return csr_matmul(self.indptr, self.indices, self.values, x)


class BlockMatrix(Matrix):
    """Blocks of 16 rows that share columns: `indptr` (⌈R / 16⌉ + 1,), `indices` (n,), `values` (n, 16)."""

    kernel = "blocks"

    def _pack(self, dense: Tensor) -> None:
        indptr, columns, values = to_blocks(dense)
        self.register_buffer("indptr", indptr, persistent=False)
        self.register_buffer("indices", columns, persistent=False)
        self.values = frozen(values)

    def dense(self) -> Tensor:
        """Returns the dense matrix, (R, C)."""
        return from_blocks(self.indptr, self.indices, self.values.detach(), self.rows, self.columns)

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Returns x · matrixᵀ + bias for x (..., C), (..., R)."""
        return block_linear(self.indptr, self.indices, self.values, x, self.rows, bias)

    def matmul(self, x: Tensor) -> Tensor:
        """Returns matrix · x for x (C, B), (R, B)."""
        return block_matmul(self.indptr, self.indices, self.values, x, self.rows)


class Packed(nn.Module, ABC):
    """The interface of a layer whose weight is packed; for prediction, so it takes no gradient to the weight.

    Attributes:
        kernel: The name by which `deploy.accelerate`, plans and reports know it: csr, blocks or compact.
        bias: (R,) parameter, or None.
    """

    kernel: ClassVar[str]
    bias: nn.Parameter | None

    @classmethod
    @abstractmethod
    def from_dense(cls, layer: nn.Module) -> Self:
        """Packs a dense layer, which is left as it is.

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

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        del keep_vars
        destination[prefix + "weight"] = self.weight
        if self.bias is not None:
            destination[prefix + "bias"] = self.bias.detach()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        _, strict, missing_keys, unexpected_keys, error_msgs = rest
        expected = {"weight": self.weight} | ({} if self.bias is None else {"bias": self.bias.detach()})
        for name, old in expected.items():
            new = state_dict.get(prefix + name)
            if new is None:
                missing_keys.extend([prefix + name] if strict else [])
            elif new.shape != old.shape:
                error_msgs.append(f"{prefix}{name}: found {tuple(new.shape)}, expected {tuple(old.shape)}")
            elif name == "weight":
                self.pack(new.detach().to(old.device))
            else:
                old.copy_(new)
        given = [key for key in state_dict if key.startswith(prefix)]
        unexpected_keys.extend(key for key in given if strict and key.removeprefix(prefix) not in expected)


def frozen(tensor: Tensor) -> nn.Parameter:
    """Returns a parameter with a copy of `tensor` that asks for no gradient."""
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)
