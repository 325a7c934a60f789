"""Classification of nodes by when and with whom they meet: a network on vectors of walks in time.

Talati et al., "A deep dive into understanding the random walk-based temporal graph learning", IISWC 2021, with its
batches of 16, nodes split at random into 60, 20 and 20 %, and vectors of 64 as in Peng et al., "Towards sparsification
of graph neural networks", ICCD 2022. Walks see all events; what is held out are labels. Ours: ten passes of skip-gram
over the walks, for after one, vectors of 64 are hardly more than their start.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.errors import DataError
from gossamer.graph import Graph
from gossamer.tasks import checks, metrics, splits
from gossamer.tasks.task import Split
from gossamer.tasks.temporal.events import Events
from gossamer.tasks.temporal.vectors import OnVectors, Rows, WalkVectors

NODE_WALKS = WalkVectors(steps=6, dimensions=64, epochs=10)


class TemporalNode(OnVectors):
    """Predicts the class of a node; the model gets (B, D), a node a row, and returns (B, classes).

    Args:
        graph: With `y`, (N,) classes from 0, -1 where unknown, and times in `edge_data`.
        walks: How vectors are made; by default ten walks of six steps from every node, and vectors of 64.
        val: Fraction of the nodes for validation, in (0, 1).
        test: Fraction of the nodes for the test, in (0, 1).
        batch_size: Nodes a training step, at least 1.
        seed: Of walks, vectors and splits.
        name: What reports call the task.

    Raises:
        DataError: There are no labels or times, or a split would be empty.
        SettingError: A number is out of its range.
    """

    metric = "accuracy"

    def __init__(
        self,
        graph: Graph,
        *,
        walks: WalkVectors | None = None,
        val: float = 0.2,
        test: float = 0.2,
        batch_size: int = 16,
        seed: int = 0,
        name: str = "temporal-node",
    ) -> None:
        if not isinstance(graph, Graph) or graph.y is None:
            raise DataError(
                f"{name}: the nodes have no labels; temporal-node needs a graph with y, link prediction none"
            )
        checks.check_setting("val", val, gt=0, lt=1)
        checks.check_setting("test", test, gt=0, lt=1 - val)
        known = graph.y >= 0
        classes = checks.check_labels(graph.y, graph.num_nodes, used=known)
        labelled = known.nonzero().squeeze(1)
        drawn = splits.fractions(len(labelled), val=val, test=test, seed=seed)
        self._nodes = {part: labelled[rows] for part, rows in drawn.items()}
        self._y = graph.y.long()
        vectors, stages = (walks or NODE_WALKS).embed(Events.of(graph), seed=seed)
        super().__init__(name, vectors, stages, batch_size=batch_size, outputs=classes)

    def loss(self, model: nn.Module, batch: Rows) -> Tensor:
        """Returns the mean cross entropy over the nodes of a batch."""
        return F.cross_entropy(self._predict(model, batch.x), batch.y)

    def _train_rows(self) -> int:
        return len(self._nodes["train"])

    def _rows(self, split: Split, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        del seed, epoch
        nodes = self._nodes[split]
        return nodes[:, None], self._y[nodes]

    def _scores(self, split: Split, output: Tensor, y: Tensor) -> dict[str, float]:
        del split
        return metrics.classification(output, y)
