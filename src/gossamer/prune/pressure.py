r"""What is pressed towards zero while a network trains towards a removal of channels.

| pressure | added to the gradients | source |
|---|---|---|
| `ScalePenalty` | ρ·sign(γ) for every scale γ of a norm | Liu et al., "Network slimming", ICCV 2017 |
| `GrowingPressure` | λ·w for all weights of channels that are to go, λ growing | Wang et al., ICLR 2021 |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from gossamer.settings import Settings, bounded
from gossamer.structure.norm_scale import norm_scales

Doomed = Mapping[str, list[tuple[int, Tensor]]]
"""By parameter: the positions of each dimension that are to go."""


@dataclass(frozen=True, kw_only=True)
class Pressure(Settings):
    """A family: what is pressed towards zero."""

    chooses: ClassVar[bool] = False  # whether it presses what was chosen; otherwise it helps the choice

    def choice(self) -> float:
        """Returns when channels are chosen, as a fraction of the time until they go; asked where `chooses`."""
        return 1.0

    def push_(self, model: nn.Module, doomed: Doomed, progress: float) -> None:
        """Adds to the gradients.

        Args:
            model: The network, after its backward pass.
            doomed: What was chosen; empty before that, and where the pressure does not choose.
            progress: From 0 at the choice, or the start of training, to 1 right before the removal.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define push_()")


@dataclass(frozen=True, kw_only=True)
class ScalePenalty(Pressure):
    """An L1 penalty on the scales of all norms, by its subgradient."""

    name = "scales"
    strength: float = bounded(1e-4, ge=0.0)  # ρ

    @torch.no_grad()
    def push_(self, model: nn.Module, doomed: Doomed, progress: float) -> None:
        """Adds ρ·sign(γ)."""
        del doomed, progress
        for scale in norm_scales(model).values():
            if scale.grad is not None:
                scale.grad += self.strength * scale.sign()


@dataclass(frozen=True, kw_only=True)
class GrowingPressure(Pressure):
    """A penalty λ/2·w² on what will go, λ growing along a straight line: the others take over before it goes."""

    name = "growing"
    chooses = True
    ceiling: float = bounded(1.0, ge=0.0)  # λ right before the removal
    chosen: float = bounded(0.4, ge=0.0, lt=1.0)  # fraction of the time until the removal

    def choice(self) -> float:
        """Returns `chosen`."""
        return self.chosen

    @torch.no_grad()
    def push_(self, model: nn.Module, doomed: Doomed, progress: float) -> None:
        """Adds λ·w, once where a weight goes along several dimensions."""
        parameters = dict(model.named_parameters())
        for name, gone in doomed.items():
            parameter = parameters.get(name)
            if parameter is None or parameter.grad is None:
                continue
            pressed = torch.zeros_like(parameter, dtype=torch.bool)
            for dim, positions in gone:
                pressed.index_fill_(dim, positions.to(parameter.device), True)
            parameter.grad += self.ceiling * progress * parameter * pressed
