"""Learns which links come next from events that arrive in batches; nothing is started anew.

Gurevin, Shan, Geng, Jiang, Ding & Khan, "Towards real-time temporal graph learning", ICCD 2022, with the walks and the
network of Talati et al., IISWC 2021. A batch is scored first, then appended to the graph; walks start from the nodes
it touches, skip-gram goes on from the vectors there are, on these walks alone, and the network goes on with the batch,
old events drawn at random, and fresh pairs without an event. The paper describes the loop; its details are ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.graph import Bias, Embeddings, GrowingGraph, embed_walks
from gossamer.kernels.flows import logistic_chain
from gossamer.kernels.random import stream_key
from gossamer.models.graph import FNN
from gossamer.stream.known import KnownPairs
from gossamer.stream.settings import Online

Array = np.ndarray[Any, Any]

STAGES = ("score", "insert", "negatives", "walk", "embed", "train")
_SCORE, _TRAIN, _VECTORS, _NETWORK, _REPLAY = range(5)  # what random numbers are for


@dataclass(frozen=True)
class Score:
    """How well a batch was known before it was learned from."""

    events: int
    pairs: int  # events, and about as many pairs without one
    correct: int  # of the pairs, at a threshold of one half
    auroc: float  # nan where only events could be scored


class LinkLearner:
    """A network on node vectors that follows a stream.

    Nodes are numbered in the order of their first event. The same batches and seed give the same results, whoever
    stops in between: all random numbers belong to the batch's number.

    Args:
        settings: How it learns.
        seed: Of all that is random.

    Raises:
        SettingError: Walks are not in time.
    """

    def __init__(self, settings: Online | None = None, *, seed: int = 0) -> None:
        self.settings = settings or Online()
        if not self.settings.walks.in_time:
            raise SettingError("in_time is False; walks over a stream are in time, so leave it out")
        self.seed = seed
        self.graph = GrowingGraph(bias=Bias(self.settings.walks.bias))
        self.known = KnownPairs()
        self.batches = 0
        self.seconds = dict.fromkeys(STAGES, 0.0)
        width = self.settings.walks.dimensions
        self._vectors, self._contexts = np.empty((0, width), np.float32), np.empty((0, width), np.float32)
        self._nodes = 0  # that have vectors
        self._source, self._target = np.empty(0, np.int64), np.empty(0, np.int64)  # all events, and room behind them
        self._events = 0
        self.network = self._fresh_network()

    @property
    def events(self) -> int:
        """How many events were learned from."""
        return self._events

    @property
    def vectors(self) -> Tensor:
        """The nodes' vectors, (N, D)."""
        return torch.from_numpy(self._vectors[: self._nodes].copy())

    def update(self, source: Tensor, target: Tensor, moment: Tensor) -> Score:
        """Scores a batch of events, then learns from it.

        Args:
            source: (E,) int64.
            target: (E,) int64.
            moment: (E,) their times, ascending, none before an earlier batch.

        Returns:
            How well the batch was known.

        Raises:
            DataError: Times fall or are not finite, or a node is negative; nothing is then learned.
        """
        left, right = source.numpy(), target.numpy()
        if not len(left):
            raise DataError("the batch has no events; expected at least one")
        with self._timed("insert"):  # the score depends on vectors and network only, so pairs may be known before it
            self._append(source, target, moment)
        score = self._score(left, right)
        if self.settings.warm:
            self._embed(np.unique(np.concatenate([left, right])))
            before, again = self._events - len(left), round(self.settings.replay * len(left))
            old = self._random(_REPLAY).integers(before, size=again) if before else np.empty(0, np.int64)
            positive = np.stack([np.concatenate([left, self._source[old]]), np.concatenate([right, self._target[old]])])
            self._train(positive, self.settings.epochs)
        else:
            self.network = self._fresh_network()
            self._nodes = 0
            self._reach(self.graph.num_nodes)
            self._embed(np.arange(self._nodes))
            every = np.stack([self._source[: self._events], self._target[: self._events]])
            self._train(every, self.settings.epochs_anew)
        self.batches += 1
        return score

    def state(self) -> dict[str, Any]:
        """Returns what was learned, without the events: for `restore`, after those have been read again."""
        return {
            "batches": self.batches,
            "events": self._events,
            "seconds": dict(self.seconds),
            "vectors": self.vectors,
            "contexts": torch.from_numpy(self._contexts[: self._nodes].copy()),
            "network": dict(self.network.state_dict()),
        }

    def restore(self, state: Mapping[str, Any], source: Tensor, target: Tensor, moment: Tensor) -> None:
        """Takes up a state on a learner that is new; the events are those that it had learned from, all of them."""
        self._append(source, target, moment)
        self._vectors[: self._nodes] = state["vectors"].numpy()
        self._contexts[: self._nodes] = state["contexts"].numpy()
        self.network.load_state_dict(state["network"])
        self.batches, self.seconds = state["batches"], dict(state["seconds"])

    def _score(self, source: Array, target: Array) -> Score:
        with self._timed("negatives"):
            others = self.known.draw_others(source, self._nodes, self._random(_SCORE))
        with self._timed("score"):
            pairs = np.stack([np.concatenate([source, others[0]]), np.concatenate([target, others[1]])])
            with torch.no_grad():
                output = self.network(self._inputs(pairs))[:, 0].numpy()
            events = len(source)
            correct = int((output[:events] > 0).sum() + (output[events:] <= 0).sum())
            wins = rankdata(output)[:events].sum() - events * (events + 1) / 2
            drawn = len(output) - events
            return Score(events, len(output), correct, float(wins / (events * drawn)) if drawn else float("nan"))

    def _embed(self, starts: Array) -> None:
        """Goes on with skip-gram on walks from some nodes; only the vectors of nodes on them change."""
        walks = self.settings.walks
        with self._timed("walk"):
            begin = torch.from_numpy(starts).repeat(walks.per_node)
            found = self.graph.walk(begin, walks.steps, seed=self._key(_VECTORS))
        with self._timed("embed"):
            seen, local = np.unique(found.numpy(), return_inverse=True)  # -1, the end of walks, comes first
            ends = int(seen[0] < 0)
            rows = seen[ends:]
            before = Embeddings(*(torch.from_numpy(side[rows]) for side in (self._vectors, self._contexts)))
            numbered = torch.from_numpy(local.reshape(found.shape).astype(np.int64) - ends)
            after = embed_walks(
                numbered, len(rows), walks.skip_gram(), start=before, hogwild=walks.hogwild, seed=self._key(_VECTORS)
            )
            self._vectors[rows], self._contexts[rows] = after.vectors.numpy(), after.contexts.numpy()

    def _train(self, positive: Array, epochs: int) -> None:
        """Goes on with the network, (2, P) events against fresh pairs, by plain gradient descent."""
        random = self._random(_TRAIN)
        layers = list(self.network.linears)
        weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
        parameters = [part.detach() for layer in zip(weights, biases, strict=True) for part in layer]
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
        if self.settings.walks.both_ways:
            ways = torch.stack([source, target], dim=1)
            self.graph.extend(ways.flatten(), ways.flip(1).flatten(), moment.repeat_interleave(2))
        else:
            self.graph.extend(source, target, moment)
        self.known.add(source.numpy(), target.numpy())
        self._reach(self.graph.num_nodes)
        size = self._events + len(source)
        if size > len(self._source):
            self._source, self._target = (_grown(side, 2 * size) for side in (self._source, self._target))
        self._source[self._events : size], self._target[self._events : size] = source.numpy(), target.numpy()
        self._events = size

    def _reach(self, nodes: int) -> None:
        """Gives new nodes vectors, uniform in ±1/2D as each batch's numbers have them, and contexts of 0."""
        if nodes > len(self._vectors):
            self._vectors, self._contexts = (_grown(side, 2 * nodes) for side in (self._vectors, self._contexts))
        new = slice(self._nodes, nodes)
        shape, width = self._vectors[new].shape, self._vectors.shape[1]
        self._vectors[new] = (self._random(_VECTORS).random(shape, dtype=np.float32) - 0.5) / width
        self._contexts[new] = 0.0
        self._nodes = nodes

    def _fresh_network(self) -> FNN:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._key(_NETWORK) % 2**63)
            return FNN(2 * self.settings.walks.dimensions, 1, self.settings.hidden)

    def _key(self, purpose: int) -> int:
        return stream_key(self.seed, self.batches, purpose)

    def _random(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng(self._key(purpose))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - begin


def _grown(values: Array, size: int) -> Array:
    grown: Array = np.zeros((size, *values.shape[1:]), dtype=values.dtype)
    grown[: len(values)] = values
    return grown
