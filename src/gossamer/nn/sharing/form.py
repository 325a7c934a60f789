"""How the weights of a layer follow from fewer numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.kernels.conv2d import Steps
from gossamer.nn.sharing.tie import Tie
from gossamer.settings import Settings

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Form(Settings):
    """A family: which weights of a layer are the same number, by rule or by codes that are chosen from the weights.

    A weight has the shape (outputs, inputs, *kernel); where a form speaks of rows, they are its outputs, and columns
    all of an output's weights.
    """

    stored: ClassVar[bool] = True  # whether a layer in this form is stored as its numbers, in a module of its own

    def suits(self, shape: Shape) -> bool:
        """Says whether a weight of this shape can have the form."""
        return len(shape) in (2, 4)

    def code_shape(self, shape: Shape) -> Shape | None:
        """Returns the shape of the codes of a weight of this shape; None where a rule does without."""
        del shape
        return None

    def codes(self, weight: Tensor, generator: torch.Generator) -> Tensor | None:
        """Returns the codes that suit `weight` best, whole numbers; None where a rule does without.

        Args:
            weight: What the layer's weight should come near to.
            generator: For chance, if the choice takes any.
        """
        del weight, generator
        return None

    def tie(self, shape: Shape, codes: Tensor | None) -> Tie:
        """Returns the tie of a weight of this shape."""
        raise TypeError(f"{type(self).__name__} is abstract: define tie()")

    def begin(self, weight: Tensor, tie: Tie) -> Tensor:
        """Returns the numbers to begin with in place of `weight`: those nearest to it.

        Where a rule ties weights that have nothing to do with one another, their means are small; such numbers are
        scaled to the mean square of the weight, or training would begin with a layer that hardly passes anything on.
        """
        values = tie.means(weight)
        if self.code_shape(tuple(weight.shape)) is not None or not self.stored:
            return values
        now = tie.spread(values).square().mean()
        return values * (weight.square().mean() / now).sqrt() if bool(now > 0) else values

    def weights(self, shape: Shape) -> SharedWeights:
        """Returns weights of this shape in this form, all zero."""
        return SharedWeights(self, shape)


class SharedWeights(nn.Module):
    """The weights (outputs, inputs, *kernel) of a layer in a form.

    The state dict holds the numbers and the codes, and nothing of which weight is which, as that follows.

    Attributes:
        values: Parameter, (groups,): the different numbers.
        codes: uint8, which weight is which, where the form chooses; else None.
    """

    codes: Tensor | None
    group: Tensor
    sign: Tensor | None

    def __init__(self, form: Form, shape: Shape) -> None:
        super().__init__()
        self.form, self.shape = form, tuple(shape)
        sizes = form.code_shape(self.shape)
        self.register_buffer("codes", None if sizes is None else torch.zeros(sizes, dtype=torch.uint8))
        self.values = nn.Parameter(torch.zeros(self.tie().groups))
        self.register_buffer("group", None, persistent=False)
        self.register_buffer("sign", None, persistent=False)
        _remember(self, None)
        self.register_load_state_dict_post_hook(_remember)  # type: ignore[no-untyped-call]

    def take(self, weight: Tensor, codes: Tensor | None) -> None:
        """Takes over what comes nearest to a weight, with codes for it."""
        if self.codes is not None and codes is not None:
            self.codes.copy_(codes)
        self.values.data = self.tie().to(weight.device).means(weight.detach())
        _remember(self, None)

    def tie(self) -> Tie:
        """Returns which weights are the same number, made anew."""
        return self.form.tie(self.shape, self.codes)

    def dense(self) -> Tensor:
        """Returns the weight, made anew; differentiable."""
        padded = torch.cat([self.values, self.values.new_zeros(1)])
        weight = padded.index_select(0, self.group).reshape(self.shape)
        return weight if self.sign is None else weight * self.sign

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """Returns x · weightᵀ + bias for x (..., inputs)."""
        return F.linear(x, self.dense(), bias)

    def conv2d(self, x: Tensor, bias: Tensor | None, steps: Steps, groups: int) -> Tensor:
        """Returns the convolution of x (N, C, H, W)."""
        return F.conv2d(x, self.dense(), bias, steps.stride, steps.padding, steps.dilation, groups)

    def remember(self) -> None:
        """Works out which weight is which, for `dense`; called whenever the codes have changed."""
        tie = self.tie().to(self.values.device)
        self.group = tie.group.reshape(-1).to(torch.int32)
        self.sign = None if tie.factor is None else tie.factor.contiguous()

    def extra_repr(self) -> str:
        """Names form and sizes."""
        return f"{self.form}, shape={self.shape}"


def _remember(weights: SharedWeights, keys: object) -> None:
    del keys
    weights.remember()
