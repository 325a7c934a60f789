"""Trains node vectors by skip-gram with negative sampling, natively; in place, and without autograd.

A plain function and no torch operator: it is a whole training loop. The reference in numpy draws the same numbers and
takes the same steps, but rounds differently and is slower by two orders of magnitude.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.random import Array, Stream

ROW = 16  # vectors are padded to a multiple of so many floats, a line of cache
_TARGETS = 8  # dot products that are taken before their updates


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass over walks, of which `done` of `total` have been trained on before."""

    walks: Tensor  # (W, L) int64; negative entries are passed over
    keep: Tensor | None  # (N,) float32: how likely an occurrence of each node is kept; None keeps all
    noise: Tensor  # (N,) int64, as `alias_table` makes it
    window: int
    negatives: int
    rate: float  # of learning before the first of `total` walks, falling in a straight line
    final_rate: float  # after the last
    done: int
    total: int
    key: int
    threads: int  # more than one: no two runs are alike


def aligned_rows(rows: Tensor, pad: int = ROW) -> Tensor:
    """Returns (N, D) as (N, D') float32 with zeros up to a multiple of `pad`, each row at a line of cache."""
    stride = -(-rows.shape[1] // pad) * pad
    memory = torch.zeros(rows.shape[0] * stride + pad, dtype=torch.float32)
    skip = -(memory.data_ptr() // 4) % pad
    padded = memory[skip : skip + rows.shape[0] * stride].view(rows.shape[0], stride)
    padded[:, : rows.shape[1]] = rows
    return padded


def alias_table(weights: Array) -> Tensor:
    """Returns a table to draw from in constant time, (N,) int64: a threshold above, an alias in the low 32 bits.

    Walker, "An efficient method for generating discrete random variables with general distributions", 1977, in the
    construction of Vose, 1991. A random place is taken where 32 random bits lie below its threshold, else its alias.

    Args:
        weights: (N,) at least 0, N < 2^32; the sum above 0.
    """
    count = len(weights)
    share = weights.astype(np.float64) * (count / weights.sum())
    alias, threshold = np.arange(count), np.ones(count)
    small, large = list(np.flatnonzero(share < 1.0)), list(np.flatnonzero(share >= 1.0))
    while small and large:
        low, high = small.pop(), large[-1]
        alias[low], threshold[low] = high, share[low]
        share[high] -= 1.0 - share[low]
        if share[high] < 1.0:
            small.append(large.pop())
    bits = np.minimum(np.rint(threshold * 2.0**32), 2.0**32 - 1).astype(np.uint64)
    return torch.from_numpy((bits << np.uint64(32) | alias.astype(np.uint64)).view(np.int64))


def train_skipgram_(vectors: Tensor, contexts: Tensor, work: Pass) -> None:
    """Makes one pass of training over both sides of the vectors, in place.

    Args:
        vectors: (N, D') float32, as `aligned_rows` makes it.
        contexts: (N, D') float32, likewise.
        work: What to do.

    Raises:
        DataError: A walk holds a node that has no vector.
    """
    module = native.kernels()
    if module is None:
        return train_skipgram_reference_(vectors, contexts, work)
    kept = torch.empty(work.walks.shape, dtype=torch.int32)
    inside = module.skipgram(
        native.isa(),
        vectors.data_ptr(),
        contexts.data_ptr(),
        vectors.shape[0],
        vectors.shape[1],
        work.walks.data_ptr(),
        work.walks.shape[0],
        work.walks.shape[1],
        0 if work.keep is None else work.keep.data_ptr(),
        work.noise.data_ptr(),
        work.window,
        work.negatives,
        work.rate,
        work.final_rate,
        work.done,
        work.total,
        work.key,
        kept.data_ptr(),
        work.threads,
    )
    if not inside:
        raise _no_vector(vectors)
    return None


def train_skipgram_reference_(vectors: Tensor, contexts: Tensor, work: Pass) -> None:
    """The numpy reference of `train_skipgram_`, with the same random numbers, on one thread."""
    if work.walks.numel() and int(work.walks.max()) >= vectors.shape[0]:
        raise _no_vector(vectors)
    left, right = vectors.numpy(), contexts.numpy()
    noise = work.noise.numpy().view(np.uint64)
    keep = None if work.keep is None else work.keep.numpy()
    for number, walk in enumerate(work.walks.tolist(), work.done):
        stream = Stream(work.key, number)
        nodes = [v for v in walk if v >= 0 and (keep is None or np.float32(stream.uniform()) < keep[v])]
        rate = np.float32(work.rate + (work.final_rate - work.rate) * (number / work.total))
        # The native kernel draws for the next pair before it trains on this one; groups beyond the first are drawn
        # after that. The order of draws is kept here.
        ahead = _pairs(nodes, work, stream)
        pair = next(ahead, None)
        first = _targets(pair[0], 0, work, noise, stream) if pair else []
        while pair:
            now, targets = pair, first
            pair = next(ahead, None)
            first = _targets(pair[0], 0, work, noise, stream) if pair else []
            _step(left[now[1]], right, targets, now[0], rate, positive=True)
            for start in range(_TARGETS, work.negatives + 1, _TARGETS):
                _step(left[now[1]], right, _targets(now[0], start, work, noise, stream), now[0], rate, positive=False)


def _pairs(nodes: list[int], work: Pass, stream: Stream) -> Iterator[tuple[int, int]]:
    """Yields (centre, other) for every node and those within the distance that is drawn for it."""
    for i, centre in enumerate(nodes):
        reach = 1 + stream.below(work.window)
        for j in range(max(i - reach, 0), min(i + reach + 1, len(nodes))):
            if j != i:
                yield centre, nodes[j]


def _targets(centre: int, start: int, work: Pass, noise: Array, stream: Stream) -> list[int]:
    found = [centre] if start == 0 else []
    while len(found) < min(work.negatives + 1 - start, _TARGETS):
        bits = stream.next()
        place = (bits >> 32) * len(noise) >> 32
        entry = int(noise[place])
        found.append(place if bits & 0xFFFFFFFF < entry >> 32 else entry & 0xFFFFFFFF)
    return found


def _step(vector: Array, contexts: Array, targets: list[int], centre: int, rate: np.float32, *, positive: bool) -> None:
    wanted = np.zeros(len(targets), dtype=np.float32)
    active = np.array([target != centre for target in targets])
    if positive:
        wanted[0], active[0] = 1.0, True
    dots = (contexts[targets] @ vector).clip(-30, 30)
    gains = np.where(active, (wanted - 1.0 / (1.0 + np.exp(-dots))) * rate, np.float32(0.0)).astype(np.float32)
    change = np.zeros_like(vector)
    for target, gain in zip(targets, gains, strict=True):
        change += gain * contexts[target]
        contexts[target] += gain * vector
    vector += change


def _no_vector(vectors: Tensor) -> DataError:
    return DataError(f"walks: hold a node outside [0, {vectors.shape[0]}), the nodes that have vectors")
