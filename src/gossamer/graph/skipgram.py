"""Learns a vector for every node from walks: skip-gram with negative sampling, incrementally if wanted.

A node is trained to predict those that walks find near it. Mikolov, Sutskever, Chen, Corrado & Dean, "Distributed
representations of words and phrases and their compositionality", NeurIPS 2013, eq. (4), with walks for sentences as in
DeepWalk (Perozzi, Al-Rfou & Skiena, KDD 2014). For each pair (centre c, other o) of a walk the loss is

    -log σ(u_c · v_o) - Σ_k log σ(-u_{n_k} · v_o)        n_k from the noise, in proportion to count ** noise_power

with `vectors` v and `contexts` u. The distance between c and o is at most a number drawn from 1 to `window`, so that
near nodes count more. The noise of a centre is drawn once, and the pairs of its window take one step together, as in
Ji, Satish, Li & Dubey, "Parallelizing Word2Vec in shared and distributed memory", 2016. Occurrences of frequent nodes
are dropped at random before that. The learning rate falls in a straight line from `learning_rate` to `final_rate` over
all walks of all epochs.

Given vectors are trained further on new walks, which is how a growing graph is followed; nodes beyond them start anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels.random import Array, stream_key
from gossamer.kernels.skipgram import Pass, alias_table, aligned_rows, train_skipgram_
from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class SkipGram(Settings):
    """Settings; the defaults are those of the usual implementations, with the window that walks want."""

    dimensions: int = bounded(128, ge=1, le=4096)
    window: int = bounded(10, ge=1)  # the widest distance within a walk
    negatives: int = bounded(5, ge=1)  # noise nodes a pair; pairs of one centre share theirs
    epochs: int = bounded(1, ge=1)
    learning_rate: float = bounded(0.025, gt=0.0)
    final_rate: float = bounded(1e-4, ge=0.0)
    frequent: float = bounded(1e-3, ge=0.0)  # a node's share of all from which occurrences are dropped; 0 drops none
    noise_power: float = bounded(0.75, ge=0.0)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What skip-gram learns; `contexts` are kept to train on."""

    vectors: Tensor  # (N, D) float32
    contexts: Tensor  # (N, D) float32


def embed_walks(
    walks: Tensor,
    nodes: int,
    settings: SkipGram | None = None,
    *,
    start: Embeddings | None = None,
    hogwild: bool = False,
    seed: int = 0,
) -> Embeddings:
    """Learns node vectors from walks.

    Args:
        walks: (W, L) integers in [0, `nodes`), with -1 after the end of a walk.
        nodes: N, at least 1, below 2^31.
        settings: By default `SkipGram()`.
        start: Vectors to train further, of the settings' dimensions, for the first nodes or for all; unchanged.
        hogwild: Whether all of torch's threads train at once without waiting for each other. That is faster, and no
            two runs agree. Otherwise one thread trains, and the same seed gives the same bits.
        seed: Says which random numbers.

    Raises:
        DataError: Walks hold no node or one out of range, or `start` does not fit.
    """
    settings = settings or SkipGram()
    walks = _checked_walks(walks, nodes)
    counts = torch.bincount(walks[walks >= 0], minlength=nodes).numpy()
    keep = _keep(counts, settings.frequent)
    noise = alias_table(counts.astype(np.float64) ** settings.noise_power * (counts > 0))
    vectors, contexts = _initial(nodes, settings.dimensions, start, seed)
    for epoch in range(settings.epochs):
        train_skipgram_(
            vectors,
            contexts,
            Pass(
                walks=walks,
                keep=keep,
                noise=noise,
                window=settings.window,
                negatives=settings.negatives,
                rate=settings.learning_rate,
                final_rate=settings.final_rate,
                done=epoch * len(walks),
                total=settings.epochs * len(walks),
                key=stream_key(seed, 0),
                threads=torch.get_num_threads() if hogwild else 1,
            ),
        )
    return Embeddings(*(side[:, : settings.dimensions].clone() for side in (vectors, contexts)))


def _checked_walks(walks: Tensor, nodes: int) -> Tensor:
    if walks.dim() != 2 or walks.dtype.is_floating_point or walks.dtype == torch.bool:
        raise DataError(f"walks: found {walks.dtype} of shape {tuple(walks.shape)}; expected integers (walks, nodes)")
    if not 1 <= nodes < 2**31:
        raise DataError(f"nodes: found {nodes}; expected 1 to {2**31 - 1}")
    highest = int(walks.max()) if walks.numel() else -1
    if not 0 <= highest < nodes:
        raise DataError(f"walks: the highest node is {highest}; expected 0 to {nodes - 1}")
    return walks.to(torch.int64).cpu().contiguous()


def _keep(counts: Array, frequent: float) -> Tensor | None:
    """Returns how likely an occurrence of each node is kept, min(1, sqrt(t / share) + t / share)."""
    if frequent == 0.0:
        return None
    ratio = frequent * counts.sum() / np.maximum(counts, 1)
    return torch.from_numpy(np.minimum(np.sqrt(ratio) + ratio, 1.0).astype(np.float32))


def _initial(nodes: int, width: int, start: Embeddings | None, seed: int) -> tuple[Tensor, Tensor]:
    """Returns padded vectors, at first uniform in ±1 / D, and contexts, at first 0."""
    random = np.random.default_rng([1, seed])
    vectors = torch.from_numpy((2.0 * random.random((nodes, width), dtype=np.float32) - 1.0) / width)
    contexts = torch.zeros(nodes, width)
    if start is not None:
        known = start.vectors.shape[0]
        if start.vectors.shape != start.contexts.shape or start.vectors.shape[1:] != (width,) or known > nodes:
            raise DataError(
                f"start: vectors of shape {tuple(start.vectors.shape)} and contexts of shape "
                f"{tuple(start.contexts.shape)}; expected both ({nodes} or fewer, {width})"
            )
        vectors[:known], contexts[:known] = start.vectors, start.contexts
    return aligned_rows(vectors), aligned_rows(contexts)
