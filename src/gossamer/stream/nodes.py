"""Learns the classes of nodes from a stream: from the labelled nodes that a batch touches, and others seen before.

A share of the labels is held out for good. Of each batch, the nodes among them that it touches, and that were met
before, are scored with the vectors and the network there are; then the vectors follow the batch, and the network goes
on with the other labelled nodes that it touches and with old ones drawn at random (`stream.base` has the rest).
The network, dropout and Adam are those of Talati et al., IISWC 2021; how labels are held out is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gossamer.errors import DataError
from gossamer.stream.base import REPLAY, TRAIN, Array, Learner, Score
from gossamer.stream.settings import OnlineNodes


class NodeLearner(Learner):
    """Tells the classes of nodes by a network on their vectors.

    Args:
        labels: (N,) int64, classes from 0, -1 where unknown, of all nodes that will ever come, numbered as they do.
        settings: How it learns.
        seed: Of all that is random, and of which labels are held out.

    Raises:
        DataError: Fewer than two classes are labelled.
        SettingError: Walks are not in time.
    """

    def __init__(self, labels: Tensor, settings: OnlineNodes | None = None, *, seed: int = 0) -> None:
        self.settings = settings or OnlineNodes()
        super().__init__(self.settings, seed=seed)
        self._labels = labels.numpy()
        self._classes = int(self._labels.max(initial=-1)) + 1
        if self._classes < 2:
            raise DataError(f"labels: found {self._classes} classes; expected at least 2")
        held = np.random.default_rng([2, seed]).random(len(self._labels)) < self.settings.held_out
        self._held, self._taught = held & (self._labels >= 0), ~held & (self._labels >= 0)
        self._met = 0  # nodes before this batch
        self._start_anew()

    def state(self) -> dict[str, Any]:
        """Returns what was learned, without events and labels, as of `Learner`; with the optimiser's moments."""
        return {**super().state(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any], source: Tensor, target: Tensor, moment: Tensor) -> None:
        """Takes up a state on a learner that is new, as of `Learner`."""
        super().restore(state, source, target, moment)
        self._optimizer.load_state_dict(state["optimizer"])

    def _score(self, source: Array, target: Array) -> Score:
        with self._timed("score"):
            nodes = np.unique(np.concatenate([source, target]))
            nodes = nodes[self._held[nodes] & (nodes < self._met)]
            self.network.eval()
            with torch.no_grad():
                found = self.network(torch.from_numpy(self._vectors[nodes])).argmax(1).numpy()
            correct = int((found == self._labels[nodes]).sum())
            return Score(len(source), len(nodes), correct, float("nan"))

    def _learn(self, source: Array, target: Array) -> None:
        fresh = np.unique(np.concatenate([source, target]))
        fresh = fresh[self._taught[fresh]]
        old = np.flatnonzero(self._taught[: self._nodes])
        again = round(self.settings.replay * len(fresh))
        some = self._random(REPLAY).choice(old, size=again) if len(old) else old
        self._train(np.concatenate([fresh, some]), self.settings.epochs)

    def _learn_all(self) -> None:
        self._train(np.flatnonzero(self._taught[: self._nodes]), self.settings.epochs_anew)

    def _train(self, nodes: Array, epochs: int) -> None:
        """Goes on with the network over some nodes."""
        random = self._random(TRAIN)
        self.network.train()
        with self._timed("train"), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._key(TRAIN) % 2**63)  # of dropout
            for _ in range(epochs):
                for some in np.split(
                    random.permutation(nodes), range(self.settings.rows, len(nodes), self.settings.rows)
                ):
                    if not len(some):
                        continue
                    output = self.network(torch.from_numpy(self._vectors[some]))
                    loss = F.cross_entropy(output, torch.from_numpy(self._labels[some]))
                    self._optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    self._optimizer.step()

    def _start_anew(self) -> None:
        self.network = self._fresh(
            self._classes,
            in_features=self.settings.walks.dimensions,
            hidden=self.settings.hidden,
            bias=False,
            dropout=self.settings.dropout,
        )
        self._optimizer = torch.optim.Adam(
            self.network.parameters(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )

    def _append(self, source: Tensor, target: Tensor, moment: Tensor) -> None:
        self._met = self._nodes
        super()._append(source, target, moment)
