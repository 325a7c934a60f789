"""Times neighbour sampling against torch-sparse, walks in time against nothing, and skip-gram against gensim.

170,000 nodes and 2.3 million edges with power-law degrees. torch-sparse and gensim do not come with the project; a
peer that is missing is left out. Times are processor seconds of the calling process, so that other work on the machine
disturbs them less; on several threads they are wall seconds.

    python -m benchmarks.kernels.sampling --threads 1 2
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.kernels.aggregate import power_law
from benchmarks.kernels.cases import threads
from gossamer.graph import (
    CSR,
    Bias,
    Graph,
    NegativeSampler,
    NeighborSampler,
    SkipGram,
    TemporalWalker,
    Walker,
    csbm,
    embed_walks,
    from_every_node,
)
from gossamer.kernels import native


def rates(calls: Mapping[str, Callable[[], int]], count: int, rounds: int = 9) -> dict[str, list[float]]:
    """Calls each in turn and returns what each got done a second, round by round, without the first."""
    clock = time.process_time if count == 1 else time.perf_counter
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            start = clock()
            done = call()
            if number:
                found[name].append(done / (clock() - start))
    return found


def report(family: str, case: str, count: int, found: Mapping[str, list[float]], bar: str, **more: Any) -> None:
    """Prints one row a peer, or one row alone: the median rate a second and how far rounds are apart."""
    ours = found["ours"]
    for peer in [name for name in found if name != "ours"] or [None]:
        row = {
            "family": family,
            "case": case,
            "isa": native.isa(),
            "threads": count,
            "ours_per_second": round(statistics.median(ours)),
            "peer": peer,
            "peer_per_second": round(statistics.median(found[peer])) if peer else None,
            "ratio": round(statistics.median(ours) / statistics.median(found[peer]), 2) if peer else None,
            "spread": round((max(ours) - min(ours)) / statistics.median(ours), 3),
            "bar": bar,
        }
        print(json.dumps(row | more), flush=True)


def neighbours(count: int) -> None:
    indptr, indices, _ = power_law(170_000, 2_300_000)
    sampler = NeighborSampler(Graph(CSR(indptr, indices, shape=(170_000, 170_000))), [15, 10, 5])
    draw = torch.Generator().manual_seed(0)
    seeds = iter(torch.randperm(170_000, generator=draw)[:1024] for _ in range(1000))
    calls: dict[str, Callable[[], int]] = {"ours": lambda: len(sampler.sample(next(seeds)).edges)}
    if importlib.util.find_spec("torch_sparse"):
        importlib.import_module("torch_sparse")
        peer, column = torch.ops.torch_sparse.neighbor_sample, indices.long()
        calls["torch-sparse"] = lambda: len(peer(indptr, column, next(seeds), [15, 10, 5], False, True)[1])
    bar = "6 times torch-sparse on one thread, 1.6 times that on two"
    report("neighbours", "edges of [15, 10, 5] around 1,024 seeds", count, rates(calls, count), bar)


def walks(count: int) -> None:
    _, _, edge_index = power_law(170_000, 2_300_000)
    time_of = torch.rand(2_300_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    graph = Graph.from_edge_index(edge_index, 170_000, edge_data={"time": time_of})
    starts = from_every_node(graph, 5)

    def steps(nodes: Tensor) -> int:
        return int((nodes >= 0).sum()) - len(nodes)

    for bias in Bias:
        walker = TemporalWalker(graph, bias=bias)
        done = steps(walker.walk(starts, 20))
        found = rates({"ours": lambda w=walker, d=done: w.walk(starts, 20) is not None and d}, count)
        report("walks", f"steps in time, bias {bias.value}", count, found, "5 million a thread")
    for p, q in ((1.0, 1.0), (0.5, 2.0)):
        walker = Walker(graph, p=p, q=q)
        done = steps(walker.walk(starts, 20))
        found = rates({"ours": lambda w=walker, d=done: w.walk(starts, 20) is not None and d}, count)
        report("walks", f"steps with p={p}, q={q}", count, found, "none")


def skipgram(count: int) -> None:
    nodes, edges = 10_000, csbm(10_000, 20, 8, degree=10.0, structure=1.8, seed=1).to_edge_index()
    edges = edges[:, edges[0] < edges[1]]
    edges = edges[:, torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(0))]
    test, train = edges[:, : edges.shape[1] // 5], edges[:, edges.shape[1] // 5 :]
    graph = Graph.from_edge_index(torch.cat([train, train.flip(0)], 1), nodes)
    others = NegativeSampler(graph).pairs(test.shape[1], seed=3)
    corpus = Walker(graph).walk(from_every_node(graph, 5), 20)
    corpus = corpus[torch.randperm(len(corpus), generator=torch.Generator().manual_seed(1))]
    words = int((corpus >= 0).sum()) * 2
    sentences = [[str(node) for node in walk if node >= 0] for walk in corpus.tolist()]

    def auc(vectors: Tensor) -> float:
        scores = [(vectors[pair[0]] * vectors[pair[1]]).sum(1) for pair in (test, others)]
        return float(roc_auc_score(np.repeat([1, 0], test.shape[1]), torch.cat(scores).numpy()))

    for width in (8, 32, 128, 256):
        settings = SkipGram(dimensions=width, window=5, epochs=2)
        quality: dict[str, list[float]] = {"ours": [], "gensim": []}
        found: dict[str, list[float]] = {"ours": [], "gensim": []}
        clock = time.process_time if count == 1 else time.perf_counter
        for seed in range(3):
            start = clock()
            vectors = embed_walks(corpus, nodes, settings, hogwild=count > 1, seed=seed).vectors
            found["ours"].append(words / (clock() - start))
            quality["ours"].append(auc(vectors))
            if not importlib.util.find_spec("gensim"):
                continue
            model = importlib.import_module("gensim.models").Word2Vec(
                vector_size=width, window=5, min_count=0, sg=1, negative=5, workers=count, sample=1e-3, seed=seed
            )
            model.build_vocab(sentences)
            start = clock()
            model.train(sentences, total_examples=len(sentences), epochs=2)
            found["gensim"].append(words / (clock() - start))
            zero = np.zeros(width, np.float32)
            peer = [model.wv[str(node)] if model.wv.has_index_for(str(node)) else zero for node in range(nodes)]
            quality["gensim"].append(auc(torch.from_numpy(np.stack(peer))))
        known = {name: values for name, values in found.items() if values}
        mean = {f"{name}_auc": round(statistics.mean(values), 4) for name, values in quality.items() if values}
        bar = "3 times gensim, link AUC within 0.005"
        report("skip-gram", f"nodes of walks, {width} dimensions", count, known, bar, **mean)


def main() -> None:
    for count in threads(__doc__):
        neighbours(count)
        walks(count)
        skipgram(count)


if __name__ == "__main__":
    main()
