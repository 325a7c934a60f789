"""What stands where an operator was erased: nothing to train, nothing to compute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn


class Erased(nn.Module):
    """Returns what adds nothing to a sum, a zero without dimensions, or to a concatenation, a tensor of no numbers.

    Plain attributes of what stood here, such as numbers and flags that its owner reads, are still there, and its
    parameters are None.

    Args:
        old: What stands here.
        joint: "add" or "cat": what the branch ends in.
        returns: How many tensors `old` returned in a tuple; 0 for a tensor.
    """

    joint: Literal["add", "cat"]
    returns: int

    def __init__(self, old: nn.Module, joint: Literal["add", "cat"], returns: int) -> None:
        super().__init__()
        for name, value in vars(old).items():
            if name not in self.__dict__ and isinstance(value, bool | int | float | str | tuple):
                setattr(self, name, value)
        for name in (*old._parameters, *old._buffers):
            self.register_parameter(name, None)
        self.joint = joint
        self.returns = returns

    def forward(self, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor, ...]:
        """Returns nothing to add, of the dtype and device of the first tensor given."""
        like = next(_tensors((args, kwargs)), None)
        nothing = torch.zeros(
            () if self.joint == "add" else (0,),
            dtype=like.dtype if like is not None and like.is_floating_point() else None,
            device=None if like is None else like.device,
        )
        return tuple(nothing for _ in range(self.returns)) if self.returns else nothing

    def extra_repr(self) -> str:
        """Says what it is part of."""
        return f"joint={self.joint}"


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)
