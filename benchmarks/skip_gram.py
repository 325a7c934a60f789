"""Compares the vectors of our skip-gram with gensim's by how well they predict left-out links, at equal settings.

python -m benchmarks.skip_gram

Prints one JSON row a width: the area under the ROC curve of each, mean over seeds. `gossamer bench kernels --family
skip-gram` compares their speed. gensim does not come with the project; without it only ours is shown.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import statistics

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from gossamer.graph import Graph, NegativeSampler, SkipGram, Walker, csbm, embed_walks, from_every_node


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 32, 128, 256])
    arguments = parser.parse_args()
    nodes, edges = 10_000, csbm(10_000, 20, 8, degree=10.0, structure=1.8, seed=1).to_edge_index()
    edges = edges[:, edges[0] < edges[1]]
    edges = edges[:, torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(0))]
    test, train = edges[:, : edges.shape[1] // 5], edges[:, edges.shape[1] // 5 :]
    graph = Graph.from_edge_index(torch.cat([train, train.flip(0)], 1), nodes)
    others = NegativeSampler(graph).pairs(test.shape[1], seed=3)
    corpus = Walker(graph).walk(from_every_node(graph, 5), 20)
    corpus = corpus[torch.randperm(len(corpus), generator=torch.Generator().manual_seed(1))]

    def auc(vectors: Tensor) -> float:
        scores = [(vectors[pair[0]] * vectors[pair[1]]).sum(1) for pair in (test, others)]
        return float(roc_auc_score(np.repeat([1, 0], test.shape[1]), torch.cat(scores).numpy()))

    for width in arguments.widths:
        settings = SkipGram(dimensions=width, window=5, epochs=2)
        found: dict[str, list[float]] = {"ours": [], "gensim": []}
        for seed in range(arguments.seeds):
            found["ours"].append(auc(embed_walks(corpus, nodes, settings, seed=seed).vectors))
            if importlib.util.find_spec("gensim"):
                found["gensim"].append(auc(gensim(corpus, nodes, width, seed)))
        row = {name: round(statistics.mean(values), 4) for name, values in found.items() if values}
        print(json.dumps({"dimensions": width, "seeds": arguments.seeds, **row}), flush=True)


def gensim(corpus: Tensor, nodes: int, width: int, seed: int) -> Tensor:
    """Returns gensim's vectors, zeros for nodes that no walk visits."""
    sentences = [[str(node) for node in walk if node >= 0] for walk in corpus.tolist()]
    model = importlib.import_module("gensim.models").Word2Vec(
        sentences,
        vector_size=width,
        window=5,
        min_count=0,
        sg=1,
        negative=5,
        workers=1,
        sample=1e-3,
        seed=seed,
        epochs=2,
    )
    zero = np.zeros(width, np.float32)
    vectors = [model.wv[str(node)] if model.wv.has_index_for(str(node)) else zero for node in range(nodes)]
    return torch.from_numpy(np.stack(vectors))


if __name__ == "__main__":
    main()
