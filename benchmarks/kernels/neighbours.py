"""Times sums, maxima and attention over neighbours, with their gradients, against PyG, torch.sparse and a reader.

The graph has 170,000 nodes and 2.3 million edges with power-law degrees, 128 features or 4 heads of 32. The reader is
compiled here: it reads the same rows in the same order, one number of each cache line, and writes the same output.

    python -m benchmarks.kernels.neighbours --threads 1
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor

from benchmarks.timing import interleave
from gossamer.graph import Graph, power_law
from gossamer.kernels import gatherable, maximum, native, propagate, quantize_rows
from gossamer.nn.pyg import adopt

NODES, EDGES, WIDTH = 170_000, 2_300_000, 128
READER = r"""
#include <cstdint>
extern "C" void read_rows(std::int64_t rows, const std::int64_t* indptr, const std::int32_t* indices, const float* x,
                          std::int64_t width, float* out) {
  typedef float wide __attribute__((vector_size(64), aligned(4)));
  const std::int64_t last = indptr[rows] - 12;
  for (std::int64_t row = 0; row < rows; ++row) {
    wide sum = {};
    for (std::int64_t e = indptr[row]; e < indptr[row + 1]; ++e) {
      if (e < last)
        for (std::int64_t f = 0; f < width; f += 16) __builtin_prefetch(x + indices[e + 12] * width + f);
      for (std::int64_t f = 0; f < width; f += 16) sum += *(const wide*)(x + indices[e] * width + f);
    }
    for (std::int64_t f = 0; f < width; f += 16) *(wide*)(out + row * width + f) = sum;
  }
}
"""


def reader(graph: Graph, x: Tensor) -> Callable[[], object]:
    """Returns what reads all neighbours' rows of `x`, (N, a multiple of 16), on one thread."""
    folder = Path(tempfile.mkdtemp())
    (folder / "reader.cpp").write_text(READER)
    flags = ["-O3", "-march=native", "-shared", "-fPIC", "-Wno-psabi"]
    subprocess.run(["c++", *flags, str(folder / "reader.cpp"), "-o", str(folder / "reader.so")], check=True)
    function = ctypes.CDLL(str(folder / "reader.so")).read_rows
    out = torch.empty_like(x)
    pointers = [graph.adjacency.indptr, graph.adjacency.indices, x, out]
    addresses = [ctypes.c_void_p(tensor.data_ptr()) for tensor in pointers]
    arguments = (ctypes.c_int64(x.shape[0]), *addresses[:3], ctypes.c_int64(x.shape[1]), addresses[3])
    return lambda: (function(*arguments), pointers)


def rows(case: str, calls: dict[str, Callable[[], object]], bars: dict[str, float], seconds: float) -> None:
    """Times `ours` against the other calls and prints a JSON row for each."""
    times = interleave(calls, seconds=seconds, least=5, warm=1)
    mine = times.pop("ours")
    for name, theirs in times.items():
        row = {
            "family": "neighbours",
            "case": case,
            "isa": native.isa(),
            "threads": torch.get_num_threads(),
            "ours_ms": round(mine.median, 2),
            "peer": name,
            "peer_ms": round(theirs.median, 2),
            "ratio": round(theirs.median / mine.median, 2),
            "spread": round(mine.spread / mine.median + theirs.spread / theirs.median, 3),
            "bar": bars.get(name),
        }
        print(json.dumps(row), flush=True)


def step(call: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """Returns one forward and backward pass."""
    flow = torch.randn_like(call(x))

    def run() -> object:
        x.grad = None
        call(x).backward(flow)
        return x.grad

    return run


def sums(graph: Graph, edges: Tensor, seconds: float) -> None:
    adjacency = graph.adjacency
    place = (adjacency.indptr, adjacency.indices)
    x, scale = torch.randn(NODES, WIDTH), torch.rand(NODES)
    conv, highest = pyg.SimpleConv(aggr="sum"), pyg.SimpleConv(aggr="max")
    values = scale[adjacency.rows] * scale[adjacency.indices]
    sparse = torch.sparse_csr_tensor(adjacency.indptr, adjacency.indices.long(), values, (NODES, NODES))

    def ours(x: Tensor) -> Tensor:
        return propagate(*place, x, source=scale, target=scale, transpose=graph.back(x))

    torch.testing.assert_close(ours(x), sparse @ x, rtol=1e-3, atol=1e-3)
    with torch.inference_mode():
        read = {"the same rows read": reader(graph, x)} if torch.get_num_threads() == 1 else {}
        peers = {"torch.sparse CSR": lambda: sparse @ x, "PyG": lambda: conv(x, edges, values)}
        bars = {"torch.sparse CSR": 2.4, "PyG": 15.0, "the same rows read": 0.625}
        for name, peer in (peers | read).items():  # pairwise: what PyG leaves of the memory disturbs all others
            rows("sum, float32", {"ours": lambda: ours(x), name: peer}, bars, seconds)
        narrow = gatherable(x, torch.bfloat16)
        rows("sum, bfloat16", {"ours": lambda: ours(narrow), "float32": lambda: ours(x)}, {"float32": 1.6}, seconds)
        spread = gatherable(x)
        rows("sum, float32, gatherable", {"ours": lambda: ours(spread), "as it comes": lambda: ours(x)}, {}, seconds)
        small, factor = quantize_rows(x)
        quantized = lambda: propagate(*place, small, source=factor, target=scale)  # noqa: E731
        rows("sum, int8", {"ours": quantized, "float32": lambda: ours(x)}, {"float32": 2.2}, seconds)
        rows("maximum", {"ours": lambda: maximum(*place, x), "PyG": lambda: highest(x, edges)}, {}, seconds)
    mine, its, theirs = (x.clone().requires_grad_() for _ in range(3))
    calls = {
        "ours": step(ours, mine),
        "torch.sparse CSR": step(lambda x: sparse @ x, theirs),
        "PyG": step(lambda x: conv(x, edges, values), its),
    }
    for name in ("torch.sparse CSR", "PyG"):
        pair = {"ours": calls["ours"], name: calls[name]}
        rows("sum, forward and backward", pair, {"torch.sparse CSR": 2.4, "PyG": 15.0}, seconds)


def peak_bytes(which: str, training: bool) -> int:
    """Returns how far one call of an attention layer raises the peak memory, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kernels.neighbours", "--peak", which, *["--training"] * training]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(which: str, training: bool) -> None:
    graph, layer, x = attention_case("GATConv")
    edges = graph.to_edge_index()
    call: Any = adopt(layer) if which == "ours" else layer
    if which == "ours":
        call.graph(x, edges).add_self_loops().adjacency.transpose  # noqa: B018 - part of the data, not of the call
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is there
    before = high_water()
    with torch.set_grad_enabled(training):
        out = call(x.requires_grad_(training), edges)
        if training:
            out.sum().backward()
    print(high_water() - before)


def high_water() -> int:
    """Returns the peak memory of this process in bytes, as Linux counts it."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def attention_case(kind: str) -> tuple[Graph, torch.nn.Module, Tensor]:
    torch.manual_seed(0)
    layer: torch.nn.Module = getattr(pyg, kind)(WIDTH, 32, heads=4).eval()
    return power_law(NODES, EDGES), layer, torch.randn(NODES, WIDTH)


def attention(seconds: float) -> None:
    for kind, bar in (("GATConv", 8.0), ("GATv2Conv", None), ("TransformerConv", None)):
        graph, layer, x = attention_case(kind)
        edges, ours = graph.to_edge_index(), adopt(layer)
        bars = {} if bar is None else {"PyG": bar}
        with torch.inference_mode():
            torch.testing.assert_close(ours(x, edges), layer(x, edges), rtol=1e-3, atol=1e-4)
        with torch.no_grad():
            rows(kind, {"ours": lambda: ours(x, edges), "PyG": lambda: layer(x, edges)}, bars, seconds)  # noqa: B023
        mine, its = x.clone().requires_grad_(), x.clone().requires_grad_()
        calls = {"ours": step(lambda x: ours(x, edges), mine), "PyG": step(lambda x: layer(x, edges), its)}  # noqa: B023
        rows(f"{kind}, forward and backward", calls, bars, seconds)
    for training in (False, True):
        ours_bytes, its_bytes = peak_bytes("ours", training), peak_bytes("PyG", training)
        case = f"GATConv, peak memory, {'forward and backward' if training else 'forward'}"
        ratio = round(its_bytes / max(ours_bytes, 1), 2)
        row = {"family": "neighbours", "case": case, "ours_bytes": ours_bytes, "peer": "PyG", "peer_bytes": its_bytes}
        print(json.dumps(row | {"ratio": ratio, "bar": 5.0}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="thread counts to time with")
    parser.add_argument("--seconds", type=float, default=4.0, help="time a comparison takes at least")
    parser.add_argument("--only", choices=("sums", "attention"), help="leave the other one out")
    parser.add_argument("--peak", choices=("ours", "PyG"), help=argparse.SUPPRESS)
    parser.add_argument("--training", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Sparse")
    if arguments.peak:
        torch.set_num_threads(1)
        print_peak(arguments.peak, arguments.training)
        return
    for count in arguments.threads:
        torch.set_num_threads(count)
        if arguments.only != "attention":
            graph = power_law(NODES, EDGES)
            sums(graph, graph.to_edge_index(), arguments.seconds)
        if arguments.only != "sums":
            attention(arguments.seconds)


if __name__ == "__main__":
    main()
