"""What a masked network's forward pass costs, as a share of the dense one.

Training costs are counted in dense forward passes: a dense step takes 3 (forward, gradients of inputs,
gradients of weights), a step on masked weights 3·f_S / f_D, where f_D are the multiply-accumulates of the
dense network and f_S those left when each layer's own are scaled by its density. What no prunable weight
takes part in, such as sums over neighbours, stays in full. This is a count, not a time: whether a kernel
turns it into time is for a measurement to say.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import nn

from gossamer.counting import count_macs
from gossamer.prune.masks import Masks


class ForwardShare:
    """The part of a forward pass that each prunable weight takes."""

    def __init__(self, shares: dict[str, float]) -> None:
        self.shares = shares  # parameter name to fraction of the forward pass, sum at most 1

    @classmethod
    def count(cls, model: nn.Module, example: tuple[Any, ...], masks: Masks) -> ForwardShare:
        """Counts one forward pass.

        A layer's count is divided between its prunable weights in proportion to their sizes. Where a weight
        is used outside its own module nothing is counted for it, so its cost stays in full: a bound from
        above.
        """
        profile = count_macs(model, example)
        sizes: Counter[str] = Counter()
        for weight in masks.weights:
            sizes[weight.layer] += weight.weight.numel()
        return cls(
            {
                weight.name: profile.by_module.get(weight.layer, 0)
                / max(profile.total, 1)
                * (weight.weight.numel() / sizes[weight.layer])
                for weight in masks.weights
                if weight.kind != "MultiheadAttention"  # its count includes the products of queries, keys and values
            }
        )

    def of(self, masks: Masks) -> float:
        """Returns f_S / f_D, in (0, 1]."""
        removed = sum(self.shares.get(weight.name, 0.0) * (1.0 - masks.density(weight)) for weight in masks.weights)
        return 1.0 - removed
