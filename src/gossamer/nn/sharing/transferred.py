"""Filters of a convolution that are transformations of a few: negated, turned, mirrored, or merely biased otherwise.

A bank of N filters is made from ⌈N / |T|⌉ by a group T of transformations; each output keeps a bias of its own.

| transformations | filters | after |
|---|---|---|
| negate | w and -w; before a ReLU this is CReLU | Shang, Sohn, Almeida & Lee, ICML 2016 |
| same | w for several biases: the multi-bias activation | Li, Ouyang & Wang, ICML 2016 |
| turn | w turned by 0, 90, 180 and 270 degrees | Dieleman, De Fauw & Kavukcuoglu, ICML 2016 |
| flip | w and its mirror image, left to right | the same |
| turn and flip | all eight symmetries of the square | the same |

In the papers outputs are in the order of the transformations, and those of CReLU share one bias. Here any output may be
any transformation of any filter, as codes say, so that a trained bank can be brought near to such a form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.errors import SettingError
from gossamer.kernels.conv2d import Steps
from gossamer.nn.sharing.form import Form, Shape, SharedWeights
from gossamer.nn.sharing.tie import Tie
from gossamer.settings import bounded

Transformation = Callable[[Tensor], Tensor]


def symmetries(turns: bool, flips: bool) -> tuple[Transformation, ...]:
    """Returns the turns by quarters and the mirror images of filters (..., k, k), the identity first."""

    def symmetry(quarters: int, mirrored: bool) -> Transformation:
        return lambda w: torch.rot90(w.flip(-1) if mirrored else w, quarters, (-2, -1))

    return tuple(symmetry(q, m) for m in ((False, True) if flips else (False,)) for q in range(4 if turns else 1))


@dataclass(frozen=True, kw_only=True)
class Transferred(Form):
    """Filters that are transformations of ⌈outputs / size⌉ others."""

    name = "transferred"
    by: Literal["negate", "same", "turn", "flip", "turn and flip"] = "negate"
    copies: int = bounded(2, ge=2, le=256)  # of a filter, by "same"; the others have as many as there are

    def __post_init__(self) -> None:
        """Refuses a number of copies where the transformations fix it."""
        super().__post_init__()
        if self.by != "same" and self.copies != 2:
            raise SettingError(f"transferred: copies is {self.copies}; by {self.by!r} it is fixed, leave it out")

    @property
    def size(self) -> int:
        """|T|, the number of transformations."""
        return {"negate": 2, "same": self.copies, "turn": 4, "flip": 2, "turn and flip": 8}[self.by]

    @property
    def turns(self) -> bool:
        """Whether weights move within a filter."""
        return self.by not in {"negate", "same"}

    def suits(self, shape: Shape) -> bool:
        """Convolutions with more than one filter; square and larger than a pixel where filters are turned."""
        return len(shape) == 4 and shape[0] > 1 and (not self.turns or shape[2] == shape[3] > 1)

    def filters(self, outputs: int) -> int:
        """Returns how many filters there are to transform."""
        return -(-outputs // self.size)

    def transformed(self, filters: Tensor) -> Tensor:
        """Returns all transformations of filters (B, ...), (|T|, B, ...)."""
        if self.by == "negate":
            return torch.stack([filters, -filters])
        if self.by == "same":
            return filters.expand(self.size, *filters.shape)
        return torch.stack([turned(filters) for turned in symmetries("turn" in self.by, "flip" in self.by)])

    def code_shape(self, shape: Shape) -> Shape:
        """Two codes an output, as bytes: the low and the high one of filter · |T| + transformation."""
        return shape[0], 2

    def codes(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Returns for each output its filter and transformation.

        Greedy: the largest filter that is left takes, for each transformation, the one that is nearest to its image.
        """
        del generator
        bank = weight.detach().double()
        images = self.transformed(bank).flatten(2)  # (|T|, N, C k k)
        likeness = images @ bank.flatten(1).T  # of the image of one filter with another: (|T|, N, N)
        left = torch.ones(len(bank), dtype=torch.bool, device=bank.device)
        place = torch.zeros(len(bank), dtype=torch.int64)
        for which in range(self.filters(len(bank))):
            first = int(bank.flatten(1).norm(dim=1).masked_fill(~left, -1.0).argmax())
            for how in range(self.size):
                if not bool(left.any()):
                    break
                chosen = int(likeness[how, first].masked_fill(~left, -torch.inf).argmax()) if how else first
                left[chosen] = False
                place[chosen] = which * self.size + how
        return torch.stack([place % 256, place // 256], 1).to(torch.uint8).to(weight.device)

    def tie(self, shape: Shape, codes: Tensor | None) -> Tie:
        """Returns the tie of filters to the images of others."""
        assert codes is not None
        which, how = self.places(codes)
        count = self.filters(shape[0])
        numbers = torch.arange(count * shape[1] * shape[2] * shape[3], device=codes.device)
        base = numbers.reshape(count, *shape[1:])
        if not self.turns:
            sign = torch.where(how == 1, -1.0, 1.0)[:, None, None, None].expand(shape) if self.by == "negate" else None
            return Tie(base[which], numbers.numel(), sign)
        return Tie(self.transformed(base)[how, which], numbers.numel())

    def places(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns for each output which filter it comes from and by which transformation, int64."""
        place = codes[:, 0].long() + 256 * codes[:, 1].long()
        return (place // self.size).clamp(max=self.filters(len(codes)) - 1), place % self.size

    def weights(self, shape: Shape) -> SharedWeights:
        """Returns weights of this shape, all zero."""
        return SharedWeights(self, shape) if self.turns else CopiedFilters(self, shape)


class CopiedFilters(SharedWeights):
    """Filters whose copies differ in sign at most, so that each is convolved with once."""

    form: Transferred
    which: Tensor
    side: Tensor

    def remember(self) -> None:
        """Works out which output is which filter, and its sign."""
        super().remember()
        assert self.codes is not None
        which, how = self.form.places(self.codes)
        self.register_buffer("which", which, persistent=False)
        if self.form.by == "negate":
            self.register_buffer("side", torch.where(how == 1, -1.0, 1.0)[:, None, None], persistent=False)

    def conv2d(self, x: Tensor, bias: Tensor | None, steps: Steps, groups: int) -> Tensor:
        """Returns the convolution of x (N, C, H, W), that with the filters copied to where they belong."""
        if groups != 1:
            return super().conv2d(x, bias, steps, groups)
        filters = self.values.reshape(-1, *self.shape[1:])
        once = F.conv2d(x, filters, None, steps.stride, steps.padding, steps.dilation)
        out = once.index_select(1, self.which)
        if self.form.by == "negate":
            out = out * self.side
        return out if bias is None else out + bias[:, None, None]
