"""Times one full-batch training epoch of a two-layer GCN on Amazon Computers, against PyTorch Geometric.

An epoch is forward, loss, backward and one step of Adam. Both networks get the same graph, features, widths,
dropout, optimiser and threads, and take turns in one run. PyG is timed as it comes (the normalisation is computed
in every call) and with `cached=True`.

    GOSSAMER_DATA=... python -m benchmarks.gcn_training --threads 1 2
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric import nn as pyg

from benchmarks.timing import interleave
from gossamer.models.graph import GCN
from gossamer.tasks import datasets


class PyGGCN(nn.Module):
    """The same network of PyTorch Geometric's layers."""

    def __init__(self, in_features: int, hidden: int, out_features: int, *, dropout: float, cached: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.conv1 = pyg.GCNConv(in_features, hidden, cached=cached)
        self.conv2 = pyg.GCNConv(hidden, out_features, cached=cached)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Maps node features to class scores."""
        x = F.dropout(x, self.dropout, self.training)
        x = F.dropout(F.relu(self.conv1(x, edge_index)), self.dropout, self.training)
        return self.conv2(x, edge_index)


def epoch(model: nn.Module, x: Tensor, graph: object, y: Tensor, train: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x, graph)[train], y[train]).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="amazon-computers")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--dropout", type=float, nargs="+", default=[0.5, 0.0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()

    task = datasets.task(options.data)
    graph = task.graph
    x = graph.x if isinstance(graph.x, Tensor) else graph.x.to_dense()
    train = graph.masks["train"].nonzero().squeeze(1)
    widths = x.shape[1], options.hidden, task.dimensions()["out_features"]
    edge_index = graph.to_edge_index()
    for threads in options.threads:
        torch.set_num_threads(threads)
        for dropout in options.dropout:
            torch.manual_seed(0)
            inputs = {
                "gossamer": (GCN(*widths, dropout=dropout), graph),
                "pyg": (PyGGCN(*widths, dropout=dropout, cached=False), edge_index),
                "pyg cached": (PyGGCN(*widths, dropout=dropout, cached=True), edge_index),
            }
            times = interleave(
                {name: epoch(model, x, edges, graph.y, train) for name, (model, edges) in inputs.items()},
                seconds=options.seconds,
            )
            ours, theirs, cached = times["gossamer"], times["pyg"], times["pyg cached"]
            row = {
                "data": options.data,
                "hidden": options.hidden,
                "dropout": dropout,
                "threads": threads,
                "ms": {name: {"median": time.median, "spread": time.spread} for name, time in times.items()},
                "ratio": theirs.median / ours.median,
                "ratio_cached": cached.median / ours.median,
            }
            print(json.dumps(row))
            print(
                f"# {threads} threads, dropout {dropout}: {ours.median:.1f} ± {ours.spread:.1f} ms against "
                f"{theirs.median:.1f} ± {theirs.spread:.1f} ms, {row['ratio']:.1f}x; cached {row['ratio_cached']:.1f}x"
            )


if __name__ == "__main__":
    main()
