"""Learns which links come next from events that arrive in batches; nothing is started anew.

The network goes on with the batch, old events drawn at random, and fresh pairs without an event, half of which keep the
source of an event (`stream.base` has the rest of the loop).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from gossamer.kernels.flows import logistic_chain
from gossamer.stream.base import REPLAY, SCORE, TRAIN, Array, Learner, Score
from gossamer.stream.known import KnownPairs
from gossamer.stream.settings import Online


class LinkLearner(Learner):
    """Tells pairs that have an event next from others, by a network on the vectors of both ends."""

    def __init__(self, settings: Online | None = None, *, seed: int = 0) -> None:
        self.settings = settings or Online()
        super().__init__(self.settings, seed=seed)
        self.known = KnownPairs()
        self._start_anew()

    def _score(self, source: Array, target: Array) -> Score:
        with self._timed("negatives"):
            others = self.known.draw_others(source, self._nodes, self._random(SCORE))
        with self._timed("score"):
            pairs = np.stack([np.concatenate([source, others[0]]), np.concatenate([target, others[1]])])
            with torch.no_grad():
                output = self.network(self._inputs(pairs))[:, 0].numpy()
            events = len(source)
            correct = int((output[:events] > 0).sum() + (output[events:] <= 0).sum())
            wins = rankdata(output)[:events].sum() - events * (events + 1) / 2
            drawn = len(output) - events
            return Score(events, len(output), correct, float(wins / (events * drawn)) if drawn else float("nan"))

    def _learn(self, source: Array, target: Array) -> None:
        before, again = self._events - len(source), round(self.settings.replay * len(source))
        old = self._random(REPLAY).integers(before, size=again) if before else np.empty(0, np.int64)
        positive = np.stack([np.concatenate([source, self._source[old]]), np.concatenate([target, self._target[old]])])
        self._train(positive, self.settings.epochs)

    def _learn_all(self) -> None:
        every = np.stack([self._source[: self._events], self._target[: self._events]])
        self._train(every, self.settings.epochs_anew)

    def _start_anew(self) -> None:
        self.network = self._fresh(1, in_features=2 * self.settings.walks.dimensions, hidden=self.settings.hidden)

    def _train(self, positive: Array, epochs: int) -> None:
        """Goes on with the network, (2, P) events against fresh pairs, by plain gradient descent."""
        random = self._random(TRAIN)
        parameters = [part.detach() for part in self.network.parameters()]  # of each layer its weight, then its bias
        weights, biases = parameters[::2], parameters[1::2]
        for _ in range(epochs):
            with self._timed("negatives"):
                others = self.known.draw_others(positive[0], self._nodes, random)
                pairs = np.concatenate([positive, np.stack(others)], axis=1)
                order = random.permutation(pairs.shape[1])
                pairs, truth = pairs[:, order], torch.from_numpy((order < positive.shape[1]).astype(np.float32))
            with self._timed("train"):
                for begin in range(0, len(order), self.settings.rows):
                    some = slice(begin, begin + self.settings.rows)
                    _, gradients = logistic_chain(self._inputs(pairs[:, some]), truth[some], weights, biases)
                    torch._foreach_add_(parameters, gradients, alpha=-self.settings.learning_rate)

    def _inputs(self, pairs: Array) -> Tensor:
        return torch.from_numpy(np.concatenate([self._vectors[pairs[0]], self._vectors[pairs[1]]], axis=1))

    def _append(self, source: Tensor, target: Tensor, moment: Tensor) -> None:
        super()._append(source, target, moment)
        self.known.add(source.numpy(), target.numpy())
