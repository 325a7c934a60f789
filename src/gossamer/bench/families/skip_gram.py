"""Node vectors from walks by skip-gram with negative samples, against gensim at equal settings."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gossamer.bench.case import Case, Patience, Peer
from gossamer.graph import SkipGram, Walker, csbm, embed_walks, from_every_node

_MISSING = "gensim is not installed: pip install gensim"


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    nodes = 5_000 if patience.full else 1_000
    graph = csbm(nodes, 20, 8, degree=10.0, structure=1.8, seed=1)
    corpus = Walker(graph).walk(from_every_node(graph, 5), 20)
    corpus = corpus[torch.randperm(len(corpus), generator=torch.Generator().manual_seed(1))]
    sentences = [[str(node) for node in walk if node >= 0] for walk in corpus.tolist()]
    for width in (8, 32, 128, 256) if patience.full else (32,):
        settings = SkipGram(dimensions=width, window=5, epochs=1)
        peer = _gensim(sentences, width)
        yield Case(
            f"{len(sentences):,} walks of 21 nodes, {width} dimensions, window 5, 5 negatives",
            partial(embed_walks, corpus, nodes, settings, seed=0),
            (
                Peer(
                    "gensim",
                    peer,
                    3.0 if patience.full else None,
                    tolerance=None,
                    note="" if peer else _MISSING,
                ),
            ),
            counts=(1,),
        )


def _gensim(sentences: list[list[str]], width: int) -> Any:
    """Returns one epoch of gensim's training on one thread; its vocabulary is built before."""
    if not importlib.util.find_spec("gensim"):
        return None
    model = importlib.import_module("gensim.models").Word2Vec(
        vector_size=width, window=5, min_count=0, sg=1, negative=5, workers=1, sample=1e-3, seed=0
    )
    model.build_vocab(sentences)

    def train() -> Tensor | None:
        model.train(sentences, total_examples=len(sentences), epochs=1)
        return None

    return train
