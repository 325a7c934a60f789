"""Units go to exact zeros by dual half-space projected gradients, and are cut out without fine-tuning.

Follows Chen et al., "OTOv2", ICLR 2023, whose optimiser OTOv3 (arXiv 2312.09411) keeps for pruning: units are chosen
after a warm-up by direction and size, a penalty with a strength of its own presses each, and a step that leaves the
half-space around a unit's weights puts it to zero. See `only_train_once` for the stages, `pressing` for the equations.
Ours: groups are those of any traced network, graph layers too, and are found to be zero-invariant by trying.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from gossamer.compression.registry import register
from gossamer.prune.only_train_once import OnlyTrainOnce
from gossamer.prune.unit_space import UnitSpace
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class UnitsToZero(OnlyTrainOnce):
    """Presses units of layers to zero."""

    name = "units-to-zero"
    paper = "otov3"
    multiple_of: int = bounded(1, ge=1)  # kept widths are rounded up to multiples of it
    keep: tuple[str, ...] = ()  # patterns of parameter or module names whose units all stay

    def search(self, model: nn.Module, task: Task) -> UnitSpace:
        """Returns the zero-invariant units."""
        return UnitSpace(model, task.example(), multiple_of=self.multiple_of, keep=self.keep)


DHSPG = register(
    "dhspg",
    UnitsToZero(),
    summary="Press redundant units to exact zeros while the network trains, cut them out, tune nothing.",
)
