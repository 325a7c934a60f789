"""Sums and maxima over neighbours, and their gradients, against torch.sparse, PyG and a reader of the same rows.

The reader is compiled here where there is a compiler: it reads the same rows in the same order and writes an output
of the same size, which no aggregation can do without.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch_geometric.nn as pyg
from torch import Tensor

from gossamer.bench.case import Call, Case, Patience, Peer
from gossamer.bench.families.graphs import WIDTH, graph, named
from gossamer.bench.families.layers import torch_csr
from gossamer.graph import Graph
from gossamer.kernels import gatherable, maximum, propagate, quantize_rows

_READER = r"""
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


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    net = graph(patience)
    adjacency, edges, size = net.adjacency, net.to_edge_index(), named(net)
    place = (adjacency.indptr, adjacency.indices)
    x, scale = torch.randn(net.num_nodes, WIDTH), torch.rand(net.num_nodes)
    values = scale[adjacency.rows] * scale[adjacency.indices]
    sparse = torch_csr(*place, values, net.num_nodes)
    conv, highest = pyg.SimpleConv(aggr="sum"), pyg.SimpleConv(aggr="max")
    moved = 4.0 * (2 * x.numel() + net.num_edges)

    def ours(x: Tensor) -> Tensor:
        return propagate(*place, x, source=scale, target=scale, transpose=net.back(x))

    def bar(value: float) -> float | None:
        return value if patience.full else None

    float32 = partial(ours, x)
    yield Case(
        f"normalised sum, {size}, {WIDTH} wide",
        float32,
        (
            Peer("torch.sparse CSR", partial(torch.mm, sparse, x), bar(2.4)),
            Peer("PyG", partial(conv, x, edges, values), bar(15.0)),
            _reader(net, x, bar(1 / 1.6)),
            Peer("ours on one thread", float32, bar(1.7), threads=1),
        ),
        flops=2.0 * net.num_edges * WIDTH,
        bytes=moved,
    )
    mine, theirs, its = (x.clone().requires_grad_() for _ in range(3))
    flow = torch.randn_like(x)
    yield Case(
        f"normalised sum, {size}, {WIDTH} wide, forward and backward",
        _step(ours, mine, flow),
        (
            Peer("torch.sparse CSR", _step(lambda x: sparse @ x, theirs, flow), bar(2.4)),
            Peer("PyG", _step(lambda x: conv(x, edges, values), its, flow), bar(15.0)),
        ),
        training=True,
        flops=4.0 * net.num_edges * WIDTH,
        bytes=2 * moved,
    )
    narrow = gatherable(x, torch.bfloat16)
    small, factor = quantize_rows(x)
    yield Case(
        f"normalised sum, {size}, {WIDTH} wide, bfloat16",
        partial(ours, narrow),
        (Peer("ours in float32", float32, bar(1.6), tolerance=None),),
        bytes=moved / 2,
    )
    yield Case(
        f"normalised sum, {size}, {WIDTH} wide, int8",
        partial(propagate, *place, small, source=factor, target=scale),
        (Peer("ours in float32", float32, bar(2.2), tolerance=None),),
        bytes=5.0 * x.numel() + 4.0 * net.num_edges,
    )
    yield Case(
        f"maximum, {size}, {WIDTH} wide",
        partial(maximum, *place, x),
        (Peer("PyG", partial(highest, x, edges)),),
        bytes=moved,
    )


def _step(call: Callable[[Tensor], Tensor], x: Tensor, flow: Tensor) -> Call:
    def run() -> object:
        x.grad = None
        call(x).backward(flow)  # type: ignore[no-untyped-call]
        return x.grad

    return run


def _reader(net: Graph, x: Tensor, bar: float | None) -> Peer:
    """Returns the peer that only reads all neighbours' rows of `x`, on one thread."""
    name = "the same rows read, on one thread"
    compiler = shutil.which("c++")
    if compiler is None:
        return Peer(name, None, note="needs a C++ compiler on the PATH")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "reader.cpp"), Path(folder, "reader.so")
        source.write_text(_READER, encoding="utf-8")
        flags = ["-O3", "-march=native", "-shared", "-fPIC", "-Wno-psabi"]
        subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True, capture_output=True)
        function = ctypes.CDLL(str(library)).read_rows
    out = torch.empty_like(x)
    tensors = [net.adjacency.indptr, net.adjacency.indices, x, out]
    places = [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]
    arguments = (ctypes.c_int64(x.shape[0]), *places[:3], ctypes.c_int64(x.shape[1]), places[3])
    return Peer(
        name,
        lambda: (function(*arguments), None, tensors)[1],
        bar,
        tolerance=None,
        note="the bar allows 1.6 times the reader's time",
    )
