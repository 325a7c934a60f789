"""Linear layers and convolutions that hold, train and multiply only the weights that are there.

    layer = SparseLinear.from_dense(dense, "blocks")                  for prediction: what is not zero
    layer = SparseLinear.from_dense(dense, "csr", keep=mask, train=True)
    layer = SparseLinear.random(1024, 1024, density=0.1, train=True)  no dense weight is ever made

The kernel is "csr" (any weights), "blocks" (16 outputs that share their inputs: one position for 16 weights, and
much faster) or "blocks8" (8 outputs). A ReLU behind a layer may be part of it. Parameters are the stored values and
the bias, so gradients and the optimiser's state are as small as they are; the pattern lies in buffers, and
`regrow.drop_and_grow` moves it. Results and gradients differ from those of the masked dense layer by rounding only,
because the order of additions differs.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import grad as dense_gradients

from gossamer.errors import ModelError, SettingError, unknown
from gossamer.kernels.conv2d import Steps, sparse_conv2d
from gossamer.nn.choose import distinct
from gossamer.nn.packed import MATRICES, Matrix, Packed, frozen
from gossamer.nn.shapes import check_convolution, check_images, check_width, linear_arrays


class Sparse(Packed):
    """What the two layers share: a packed matrix of (outputs, inputs), or (outputs, inputs · taps)."""

    matrix: Matrix

    def _begin(  # noqa: PLR0917  the two constructors' own
        self, kernel: str, rows: int, columns: int, dtype: torch.dtype, bias: Tensor | None, relu: bool
    ) -> None:
        if kernel not in MATRICES:
            raise SettingError(unknown("kernel of sparse layers", kernel, MATRICES))
        self.kernel, self.relu = kernel, relu
        self.matrix = MATRICES[kernel](rows, columns, dtype)
        self.bias = None if bias is None else frozen(bias)

    @property
    def trains(self) -> bool:
        """Whether the weights ask for gradients."""
        return self.matrix.values.requires_grad

    def train_weights(self, wanted: bool = True) -> Self:
        """Makes the stored weights and the bias ask for gradients, or not, and returns the layer."""
        for parameter in self.parameters():
            parameter.requires_grad_(wanted)
        return self

    def pack(self, weight: Tensor) -> None:
        """Takes over what is not zero of a dense weight, in the shape that the dense layer has it."""
        self.matrix.pack(self._as_matrix(weight))

    @abstractmethod
    def dense_gradient(self, x: Tensor, flow: Tensor, rows: slice) -> Tensor:
        """Returns some rows of what the gradient of the dense matrix would be, (rows, C).

        Args:
            x: An input of the layer.
            flow: The gradient of the result it led to, in front of the ReLU if there is one.
            rows: Of the matrix: outputs.
        """

    @abstractmethod
    def may_store(self, places: Tensor) -> Tensor:
        """Says of places (n,) int64 of units whether the layer can have weights there, (n,) bool."""

    @abstractmethod
    def _as_matrix(self, weight: Tensor) -> Tensor:
        """Returns a dense weight, or a mask of it, as the matrix that is packed."""

    def _stored(self) -> dict[str, Tensor]:
        if not self.trains:
            return {"weight": self.weight}
        return {name: getattr(self.matrix, name) for name in ("indptr", "indices", "values")}

    def _restore(self, stored: dict[str, Tensor]) -> None:
        if "weight" in stored:
            self.pack(stored["weight"].to(self.matrix.values.device))
        else:
            self.matrix.restore(**stored)


class SparseLinear(Sparse):
    """A linear layer with a sparse weight: x (..., in_features) to (..., out_features)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: Tensor | None = None,
        kernel: str = "csr",
        dtype: torch.dtype = torch.float32,
        *,
        relu: bool = False,
    ) -> None:
        """Makes a layer without any weights; `from_dense` and `random` are the usual ways to make one."""
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self._begin(kernel, out_features, in_features, dtype, bias, relu)

    @classmethod
    def from_dense(
        cls,
        layer: nn.Module,
        kernel: str = "csr",
        *,
        keep: Tensor | None = None,
        train: bool = False,
        relu: bool = False,
    ) -> Self:
        """Packs a linear layer, which is left as it is.

        Args:
            layer: Any module with a weight (out_features, in_features).
            kernel: csr, blocks or blocks8.
            keep: Mask of the weight, True = store, zeros included; None stores what is not zero.
            train: Whether the stored weights and the bias ask for gradients.
            relu: Whether negative results become zero.

        Raises:
            ModelError: It is no linear layer.
            SettingError: There is no such kernel.
        """
        weight, bias = linear_arrays(layer)
        found = cls(weight.shape[1], weight.shape[0], bias, kernel, weight.dtype, relu=relu).to(weight.device)
        found.matrix.pack(weight, keep)
        return found.train_weights(train)

    @classmethod
    def random(
        cls,
        in_features: int,
        out_features: int,
        density: float,
        *,
        kernel: str = "csr",
        bias: bool = True,
        seed: int = 0,
        train: bool = True,
        relu: bool = False,
    ) -> Self:
        """Draws a layer whose pattern is random and whose weights suit the inputs that each output has.

        A weight is uniform in ± 1/√(inputs stored for its output), where `torch.nn.Linear` takes all inputs: so
        that signals keep their size (Evci et al., "Gradient flow in sparse neural networks", AAAI 2022, §3.1).

        Args:
            in_features: C.
            out_features: R.
            density: Fraction of the weights to store, in (0, 1].
            kernel: csr, blocks or blocks8.
            bias: Whether there is one; drawn as `torch.nn.Linear` does.
            seed: Of pattern and weights.
            train: Whether the stored weights and the bias ask for gradients.
            relu: Whether negative results become zero.

        Raises:
            SettingError: The density is out of range, or there is no such kernel.
        """
        if not 0.0 < density <= 1.0:
            raise SettingError(f"density is {density}; expected a fraction in (0, 1]")
        generator = torch.Generator().manual_seed(seed)
        reach = 1 / math.sqrt(max(in_features, 1))
        offset = torch.empty(out_features).uniform_(-reach, reach, generator=generator) if bias else None
        layer = cls(in_features, out_features, offset, kernel, relu=relu)
        matrix = layer.matrix
        units = matrix.bands * in_features
        matrix.move(matrix.places, distinct(units, round(density * units), generator))
        inputs = matrix.indptr.diff().repeat_interleave(matrix.indptr.diff())
        scale = inputs.rsqrt().view(-1, *[1] * (matrix.values.dim() - 1))
        matrix.values.data.uniform_(-1.0, 1.0, generator=generator).mul_(scale)
        matrix.clear_padding()
        return layer.train_weights(train)

    def to_dense(self) -> nn.Linear:
        """Returns the dense layer with the same weights, without the ReLU."""
        weight = self.weight
        dense = nn.Linear(self.in_features, self.out_features, self.bias is not None, weight.device, weight.dtype)
        dense.load_state_dict({"weight": weight} | ({} if self.bias is None else {"bias": self.bias.detach()}))
        return dense

    @property
    def weight(self) -> Tensor:
        """The dense weight, (out_features, in_features), made anew at each access."""
        return self.matrix.dense()

    def forward(self, x: Tensor) -> Tensor:
        """Returns x · weightᵀ + bias, (..., out_features), or its ReLU."""
        check_width(x, self.in_features)
        matrix = cast("Matrix", self._modules["matrix"])  # not by attribute, as in `Matrix.linear`
        bias = self._parameters["bias"] if "bias" in self._parameters else self.bias  # noqa: SIM401  it would ask twice
        return matrix.linear(x, bias, self.relu)

    def dense_gradient(self, x: Tensor, flow: Tensor, rows: slice) -> Tensor:
        """Returns some rows of the dense weight's gradient; see `Sparse`."""
        return flow.reshape(-1, self.out_features)[:, rows].T @ x.reshape(-1, self.in_features)

    def may_store(self, places: Tensor) -> Tensor:
        """Says of places (n,) int64 of units whether the layer can have weights there, (n,) bool: anywhere."""
        return torch.ones_like(places, dtype=torch.bool)

    def extra_repr(self) -> str:
        """Names the sizes and the number of stored weights."""
        stored = self.matrix.values.numel()
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, kernel={self.kernel}, stored={stored}"
        )

    def _as_matrix(self, weight: Tensor) -> Tensor:
        return weight


class SparseConv2d(Sparse):
    """A convolution with a sparse weight: x (N, in_channels, H, W) to (N, out_channels, H_out, W_out).

    Groups are zeros like any others: an output stores no weights for the channels of other groups.
    """

    def __init__(self, layer: nn.Conv2d, kernel: str = "csr", *, relu: bool = False) -> None:
        """Makes a layer like this one without any weights; `from_dense` is the usual way to make one."""
        super().__init__()
        check_convolution(type(self).__name__, layer)
        self.in_channels, self.out_channels, self.groups = layer.in_channels, layer.out_channels, layer.groups
        pairs = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        self.steps = Steps(*((int(pair[0]), int(pair[1])) for pair in pairs))
        columns = layer.in_channels * self.steps.kernel[0] * self.steps.kernel[1]
        self._begin(kernel, layer.out_channels, columns, layer.weight.dtype, layer.bias, relu)
        if self.groups > 1 and self.out_channels // self.groups % self.matrix.height:
            raise ModelError(
                f"SparseConv2d: {self.out_channels} outputs in {self.groups} groups; expected groups of a multiple "
                f"of {self.matrix.height} outputs, or use kernel 'csr'"
            )

    @classmethod
    def from_dense(
        cls,
        layer: nn.Module,
        kernel: str = "csr",
        *,
        keep: Tensor | None = None,
        train: bool = False,
        relu: bool = False,
    ) -> Self:
        """Packs a convolution, which is left as it is.

        Args:
            layer: A Conv2d with zero padding given in pixels.
            kernel: csr, blocks or blocks8.
            keep: Mask of the weight, True = store, zeros included; None stores what is not zero.
            train: Whether the stored weights and the bias ask for gradients.
            relu: Whether negative results become zero.

        Raises:
            ModelError: It is no convolution, or one that this layer cannot follow.
            SettingError: There is no such kernel.
        """
        if not isinstance(layer, nn.Conv2d):
            raise ModelError(f"{cls.__name__}: expected a Conv2d, found {type(layer).__name__}")
        found = cls(layer, kernel, relu=relu).to(layer.weight.device)
        found.matrix.pack(found._as_matrix(layer.weight), None if keep is None else found._as_matrix(keep))
        return found.train_weights(train)

    def to_dense(self) -> nn.Conv2d:
        """Returns the dense layer with the same weights, without the ReLU."""
        weight, steps = self.weight, self.steps._asdict()
        dense = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            steps.pop("kernel"),
            **steps,
            groups=self.groups,
            bias=self.bias is not None,
            device=weight.device,
            dtype=weight.dtype,
        )
        dense.load_state_dict({"weight": weight} | ({} if self.bias is None else {"bias": self.bias.detach()}))
        return dense

    @property
    def weight(self) -> Tensor:
        """The dense weight, (out_channels, in_channels / groups, kh, kw), made anew at each access."""
        spread = self.matrix.dense().view(self.groups, -1, self.groups, self.matrix.columns // self.groups)
        group = torch.arange(self.groups, device=spread.device)
        return spread[group, :, group].reshape(self.out_channels, -1, *self.steps.kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the convolution of x (N, C_in, H, W), (N, C_out, H_out, W_out), or its ReLU; N may be left out."""
        check_images(x, self.in_channels, self.steps)
        matrix = self.matrix
        images = x if x.dim() == 4 else x[None]
        out = sparse_conv2d(
            matrix.indptr, matrix.indices, matrix.values, images, self.out_channels, self.steps, self.bias, self.relu
        )
        return out if x.dim() == 4 else out[0]

    def dense_gradient(self, x: Tensor, flow: Tensor, rows: slice) -> Tensor:
        """Returns some rows of the gradient of the dense matrix; see `Sparse`."""
        x, flow = (array if array.dim() == 4 else array[None] for array in (x, flow))
        flow = flow[:, rows]
        kernel, *steps = self.steps
        shape = (flow.shape[1], self.in_channels, *kernel)
        gradient = dense_gradients.conv2d_weight(x, shape, flow, *steps)  # type: ignore[no-untyped-call]
        return gradient.flatten(1)  # type: ignore[no-any-return]

    def may_store(self, places: Tensor) -> Tensor:
        """Says of places (n,) int64 of units whether their input is in the group of their outputs, (n,) bool."""
        band, column = places // self.matrix.columns, places % self.matrix.columns
        group = band * self.matrix.height // (self.out_channels // self.groups)
        return group == column // (self.matrix.columns // self.groups)

    def extra_repr(self) -> str:
        """Names the sizes and the number of stored weights."""
        steps = ", ".join(f"{name}={value}" for name, value in self.steps._asdict().items())
        stored = self.matrix.values.numel()
        return f"{self.in_channels}, {self.out_channels}, {steps}, kernel={self.kernel}, stored={stored}"

    def _as_matrix(self, weight: Tensor) -> Tensor:
        if self.groups == 1:
            return weight.flatten(1)
        parts = weight.flatten(1).view(self.groups, self.out_channels // self.groups, -1)
        spread = parts.new_zeros(*parts.shape[:2], self.groups, parts.shape[2])
        group = torch.arange(self.groups, device=weight.device)
        spread[group, :, group] = parts
        return spread.view(self.out_channels, -1)
