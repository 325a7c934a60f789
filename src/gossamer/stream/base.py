"""What every learner of a stream shares: a graph that grows in place, walks from what is new, vectors that go on.

Gurevin, Shan, Geng, Jiang, Ding & Khan, "Towards real-time temporal graph learning", ICCD 2022, with the walks and
networks of Talati et al., IISWC 2021. A batch is scored first, then appended to the graph; walks start from the nodes
it touches, skip-gram goes on from the vectors there are, on these walks alone, and the network goes on with what the
batch tells and with something old. The paper describes the loop; its details are ours.

Skip-gram makes vectors longer with every walk they are on, so those of a long stream say how active a node ever was.
`keep` shortens them all a little before they go on, that they say how active it is. That is better where nodes come and
go, and worse where few nodes meet the same others all the time, whose vectors then never grow long enough.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.graph import Bias, Embeddings, GrowingGraph, embed_walks
from gossamer.kernels.random import stream_key
from gossamer.models.graph import FNN
from gossamer.stream.settings import Following

Array = np.ndarray[Any, Any]

STAGES = ("score", "insert", "negatives", "walk", "embed", "train")
SCORE, TRAIN, VECTORS, NETWORK, REPLAY = range(5)  # what random numbers are for


@dataclass(frozen=True)
class Score:
    """How well a batch was known before it was learned from."""

    events: int
    pairs: int  # that were scored: events and about as many pairs without one; or nodes
    correct: int  # of the pairs: at a threshold of one half; or the most likely class
    auroc: float  # nan where only events could be scored, and for nodes


class Learner(ABC):
    """A network on node vectors that follows a stream.

    Nodes are numbered in the order of their first event. The same batches and seed give the same results, whoever
    stops in between: all random numbers belong to the batch's number.

    Args:
        settings: How it learns.
        seed: Of all that is random.

    Raises:
        SettingError: Walks are not in time.
    """

    network: FNN

    def __init__(self, settings: Following, *, seed: int = 0) -> None:
        self.following = settings
        if not settings.walks.in_time:
            raise SettingError("in_time is False; walks over a stream are in time, so leave it out")
        self.seed = seed
        self.graph = GrowingGraph(bias=Bias(settings.walks.bias))
        self.batches = 0
        self.seconds = dict.fromkeys(STAGES, 0.0)
        width = settings.walks.dimensions
        self._vectors, self._contexts = np.empty((0, width), np.float32), np.empty((0, width), np.float32)
        self._nodes = 0  # that have vectors
        self._source, self._target = np.empty(0, np.int64), np.empty(0, np.int64)  # all events, and room behind them
        self._events = 0

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
        if self.following.warm:
            if self.following.keep < 1.0:
                with self._timed("embed"):
                    for side in (self._vectors, self._contexts):
                        side[: self._nodes] *= np.float32(self.following.keep)
            self._embed(np.unique(np.concatenate([left, right])))
            self._learn(left, right)
        else:
            self._start_anew()
            self._nodes = 0
            self._reach(self.graph.num_nodes)
            self._embed(np.arange(self._nodes))
            self._learn_all()
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

    @abstractmethod
    def _score(self, source: Array, target: Array) -> Score:
        """Says how well a batch is known; its events are appended, and nothing is learned from them yet."""

    @abstractmethod
    def _learn(self, source: Array, target: Array) -> None:
        """Goes on with the network, from a batch and something old."""

    @abstractmethod
    def _learn_all(self) -> None:
        """Trains the network on all that is known."""

    @abstractmethod
    def _start_anew(self) -> None:
        """Makes a network that knows nothing."""

    def _embed(self, starts: Array) -> None:
        """Goes on with skip-gram on walks from some nodes; only the vectors of nodes on them change."""
        walks = self.following.walks
        with self._timed("walk"):
            begin = torch.from_numpy(starts).repeat(walks.per_node)
            found = self.graph.walk(begin, walks.steps, seed=self._key(VECTORS))
        with self._timed("embed"):
            seen, local = np.unique(found.numpy(), return_inverse=True)  # -1, the end of walks, comes first
            ends = int(seen[0] < 0)
            rows = seen[ends:]
            before = Embeddings(*(torch.from_numpy(side[rows]) for side in (self._vectors, self._contexts)))
            numbered = torch.from_numpy(local.reshape(found.shape).astype(np.int64) - ends)
            after = embed_walks(
                numbered, len(rows), walks.skip_gram(), start=before, hogwild=walks.hogwild, seed=self._key(VECTORS)
            )
            self._vectors[rows], self._contexts[rows] = after.vectors.numpy(), after.contexts.numpy()

    def _append(self, source: Tensor, target: Tensor, moment: Tensor) -> None:
        if self.following.walks.both_ways:
            ways = torch.stack([source, target], dim=1)
            self.graph.extend(ways.flatten(), ways.flip(1).flatten(), moment.repeat_interleave(2))
        else:
            self.graph.extend(source, target, moment)
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
        self._vectors[new] = (self._random(VECTORS).random(shape, dtype=np.float32) - 0.5) / width
        self._contexts[new] = 0.0
        self._nodes = nodes

    def _fresh(self, outputs: int, **settings: Any) -> FNN:
        """Returns a network for inputs as wide as its first layer needs, of this batch's random numbers."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._key(NETWORK) % 2**63)
            return FNN(out_features=outputs, **settings)

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
