"""Times graph aggregation, forward and backward, against torch.sparse and against gather-and-scatter (PyG's path).

170,000 nodes and 2.3 million edges with power-law degrees, and a small graph whose features fit in cache.

    python -m benchmarks.kernels.aggregate --threads 1 2
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.nn import SimpleConv

from benchmarks.kernels.cases import compare, threads
from gossamer.kernels import aggregate, edge_dot, transpose_csr
from gossamer.kernels.aggregate import AGGREGATE


def power_law(nodes: int, edges: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (indptr, indices, edge_index); both ends of an edge follow a power law, over shuffled nodes."""
    generator = np.random.default_rng(seed)
    weights = np.arange(1, nodes + 1) ** -0.8
    order = generator.permutation(nodes)
    ends = [order[generator.choice(nodes, edges, p=weights / weights.sum())] for _ in range(2)]
    target, source = ends[0][np.argsort(ends[0], kind="stable")], ends[1]
    indptr = torch.zeros(nodes + 1, dtype=torch.int64)
    indptr[1:] = torch.from_numpy(np.bincount(target, minlength=nodes).cumsum())
    edge_index = torch.from_numpy(np.stack([source, target]))
    return indptr, edge_index[0].int(), edge_index


def main() -> None:
    conv = SimpleConv(aggr="sum")
    for count in threads(__doc__):
        for nodes, edges, width in ((170_000, 2_300_000, 128), (170_000, 2_300_000, 16), (2_708, 10_556, 64)):
            indptr, indices, edge_index = power_law(nodes, edges)
            x, weights = torch.randn(nodes, width), torch.rand(edges)
            sparse = torch.sparse_csr_tensor(indptr, indices.long(), weights, (nodes, nodes))
            there = transpose_csr(indptr, indices, nodes)
            turned = torch.sparse_csr_tensor(
                there.indptr, there.indices.long(), weights[there.edge.long()], (nodes, nodes)
            )
            case = f"{nodes} nodes, {edges} edges, {width} features"
            with torch.inference_mode():
                compare(
                    f"forward, {case}",
                    count,
                    lambda a=indptr, b=indices, x=x, w=weights: aggregate(a, b, x, w),
                    {
                        "torch.sparse CSR": lambda s=sparse, x=x: s @ x,
                        "PyG gather and scatter": lambda x=x, e=edge_index, w=weights: conv(x, e, w),
                    },
                )
                compare(
                    f"gradient of x, {case}",
                    count,
                    lambda t=there, x=x, w=weights: AGGREGATE(t.indptr, t.indices, x, w, t.edge, None, None, None),
                    {"torch.sparse CSR, transposed before": lambda s=turned, x=x: s @ x},
                )
                compare(
                    f"gradient of weights, {case}",
                    count,
                    lambda a=indptr, b=indices, x=x: edge_dot(a, b, x, x),
                    {"gather and multiply": lambda x=x, e=edge_index: (x[e[0]] * x[e[1]]).sum(1)},
                )


if __name__ == "__main__":
    main()
