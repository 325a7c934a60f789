"""Whole operators go to exact zeros and are erased, so that what is left is still a network from input to output.

Follows OTOv3 (Chen et al., arXiv 2312.09411) in its erasing mode, H2SPG, whose details are those of the companion paper
ASGNAS (arXiv 2305.18030) as far as known. What may go are branches into a sum or a concatenation; after the warm-up
they are visited from the most redundant on, and one is chosen if the graph without it still leads every input to the
output and no operator loses all of its inputs. The chosen are pressed to zero as units are by `dhspg`, and then really
erased: their modules are gone from the network, which is of the same class as before, and a sum with one branch left
passes it on. Ours: only branches that hold parameters, and whose zeros were tried to silence them.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from gossamer.compression.registry import register
from gossamer.prune.only_train_once import OnlyTrainOnce
from gossamer.prune.operator_space import OperatorSpace
from gossamer.settings import bounded
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class OperatorsToZero(OnlyTrainOnce):
    """Presses branches of operators to zero."""

    name = "operators-to-zero"
    paper = "otov3"
    sparsity: float = bounded(1 / 3, ge=0.0, lt=1.0)  # fraction of the operators that may go that do
    keep: tuple[str, ...] = ()  # patterns of module names that all stay

    def search(self, model: nn.Module, task: Task) -> OperatorSpace:
        """Returns the branches that zeros silence."""
        return OperatorSpace(model, task.example(), keep=self.keep)


H2SPG = register(
    "h2spg",
    OperatorsToZero(),
    summary="Press redundant branches of operators to zero while the network trains, and erase them.",
)
