"""Times the prediction of a two-layer GCN on a large power-law graph, against PyTorch Geometric.

170,000 nodes, 2.3 million edges, width 128 throughout. Both networks hold the same weights, run in inference mode with
the same threads, and take turns in one run; their outputs are compared first. PyG is timed as it comes (the
normalisation is computed in every call) and with `cached=True`.

    python -m benchmarks.gcn_inference --threads 1 2
"""

from __future__ import annotations

import argparse
import json

import torch
from torch import Tensor, nn

from benchmarks.gcn_training import PyGGCN
from benchmarks.timing import interleave
from gossamer.graph import power_law
from gossamer.models.graph import GCN


def copy_weights(source: GCN, target: PyGGCN) -> None:
    with torch.no_grad():
        for mine, theirs in zip(source.convs, (target.conv1, target.conv2), strict=True):
            theirs.lin.weight.copy_(mine.linear.weight)
            theirs.bias.copy_(mine.bias)


def predict(model: nn.Module, x: Tensor, graph: object) -> Tensor:
    with torch.inference_mode():
        return model(x, graph)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=170_000)
    parser.add_argument("--edges", type=int, default=2_300_000)
    parser.add_argument("--widths", type=int, nargs=3, default=[128, 128, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()

    torch.manual_seed(0)
    graph = power_law(options.nodes, options.edges, seed=0)
    edge_index = graph.to_edge_index()
    x = torch.randn(options.nodes, options.widths[0])
    ours = GCN(*options.widths).eval()
    peers = {
        "pyg": PyGGCN(*options.widths, dropout=0.5, cached=False).eval(),
        "pyg cached": PyGGCN(*options.widths, dropout=0.5, cached=True).eval(),
    }
    expected = predict(ours, x, graph)
    for peer in peers.values():
        copy_weights(ours, peer)
        torch.testing.assert_close(predict(peer, x, edge_index), expected, rtol=1e-3, atol=1e-4)

    for threads in options.threads:
        torch.set_num_threads(threads)
        calls = {"gossamer": lambda: predict(ours, x, graph)}
        calls |= {name: lambda peer=peer: predict(peer, x, edge_index) for name, peer in peers.items()}
        times = interleave(calls, seconds=options.seconds)
        mine, theirs, cached = times["gossamer"], times["pyg"], times["pyg cached"]
        row = {
            "nodes": graph.num_nodes,
            "edges": graph.num_edges,
            "widths": options.widths,
            "threads": threads,
            "ms": {name: {"median": time.median, "spread": time.spread} for name, time in times.items()},
            "ratio": theirs.median / mine.median,
            "ratio_cached": cached.median / mine.median,
        }
        print(json.dumps(row))
        print(
            f"# {threads} threads: {mine.median:.0f} ± {mine.spread:.0f} ms against "
            f"{theirs.median:.0f} ± {theirs.spread:.0f} ms, {row['ratio']:.1f}x; cached {row['ratio_cached']:.1f}x"
        )


if __name__ == "__main__":
    main()
