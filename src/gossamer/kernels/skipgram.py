"""Trains node vectors by skip-gram with negative sampling, natively; in place, and without autograd.

A plain function and no torch operator: it is a whole training loop. The reference in numpy draws the same numbers and
takes the same steps, but rounds differently and is slower by two orders of magnitude.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.random import Array, Stream

ROW = 16  # vectors are padded to a multiple of so many floats, a line of cache
_INPUTS, _TARGETS = 16, 8  # of a step, whose dot products are taken before its updates


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
        for place, centre in enumerate(nodes):
            reach = 1 + stream.below(work.window)
            targets = [centre, *(_noise(noise, stream) for _ in range(work.negatives))]
            others = nodes[max(place - reach, 0) : place] + nodes[place + 1 : place + reach + 1]
            for first in range(0, len(others), _INPUTS):
                for start in range(0, len(targets), _TARGETS):
                    # Noise that is the centre does nothing; a node that was drawn twice weighs twice.
                    some = Counter(target for target in targets[start : start + _TARGETS] if target != centre)
                    weights = {centre: 1, **some} if start == 0 else some
                    _step(left, others[first : first + _INPUTS], right, weights, centre, rate)


def _noise(noise: Array, stream: Stream) -> int:
    bits = stream.next()
    place = (bits >> 32) * len(noise) >> 32
    entry = int(noise[place])
    return place if bits & 0xFFFFFFFF < entry >> 32 else entry & 0xFFFFFFFF


def _step(  # noqa: PLR0917  what a step takes
    vectors: Array, inputs: list[int], contexts: Array, weights: Mapping[int, int], centre: int, rate: np.float32
) -> None:
    targets = list(weights)
    wanted = np.array([target == centre for target in targets], dtype=np.float32)
    rates = rate * np.array(list(weights.values()), dtype=np.float32)
    dots = (vectors[inputs] @ contexts[targets].T).clip(-30, 30)
    gains = ((wanted - 1.0 / (1.0 + np.exp(-dots))) * rates).astype(np.float32)
    before = contexts[targets]
    for node, gain in zip(inputs, gains, strict=True):
        contexts[targets] += gain[:, None] * vectors[node]
        vectors[node] += gain @ before


def _no_vector(vectors: Tensor) -> DataError:
    return DataError(f"walks: hold a node outside [0, {vectors.shape[0]}), the nodes that have vectors")
