"""Attention layers over neighbours against PyG's, forward and backward, and the memory that one call takes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch_geometric.nn as pyg
from torch import Tensor

from gossamer.bench.case import FULL, Amount, Call, Case, Patience, Peer
from gossamer.bench.families.graphs import WIDTH, graph, named
from gossamer.bench.memory import peak_bytes
from gossamer.graph import Graph
from gossamer.nn.pyg import adopt

_HEADS, _HEAD = 4, 32


def cases(patience: Patience) -> Iterator[Case | Amount]:
    """Yields the family's cases."""
    net = graph(patience)
    edges, x = net.to_edge_index(), torch.randn(net.num_nodes, WIDTH)
    for kind in ("GATConv", "GATv2Conv", "TransformerConv") if patience.full else ("GATConv",):
        layer = _layer(kind)
        ours = adopt(layer)
        bar = 8.0 if kind == "GATConv" and patience.full else None
        name = f"{kind}, {_HEADS} x {_HEAD}, {named(net)}"
        yield Case(
            name,
            partial(ours, x, edges),
            (Peer("PyG", partial(layer, x, edges), bar),),
            flops=2.0 * x.numel() * _HEADS * _HEAD,
            bytes=4.0 * (2 * x.numel() + net.num_edges),
        )
        if bar is None and patience.full:
            continue
        yield Case(
            f"{name}, forward and backward",
            _step(ours, x, edges),
            (Peer("PyG", _step(layer, x, edges), bar),),
            training=True,
        )
    if patience.full:
        for mode in ("forward", "forward and backward"):
            yield Amount(
                f"GATConv, peak memory, {mode}",
                partial(peak_bytes, f"{__name__}:one_call", "ours", mode),
                "PyG",
                partial(peak_bytes, f"{__name__}:one_call", "PyG", mode),
                bar=5.0,
            )


def _layer(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    layer: torch.nn.Module = getattr(pyg, kind)(WIDTH, _HEAD, heads=_HEADS).eval()
    return layer


def _step(layer: torch.nn.Module, features: Tensor, edges: Tensor) -> Call:
    x = features.clone().requires_grad_()
    flow = torch.randn(x.shape[0], _HEADS * _HEAD, generator=torch.Generator().manual_seed(1))

    def run() -> object:
        x.grad = None
        layer(x, edges).backward(flow)
        return x.grad

    return run


def one_call(which: str, mode: str) -> Call:
    """Returns one call of a GATConv, ours or PyG's, for `bench.memory`; the graph's forms are made before."""
    net: Graph = graph(FULL)
    edges, x = net.to_edge_index(), torch.randn(net.num_nodes, WIDTH)
    training = mode != "forward"
    call: Any = _layer("GATConv")
    if which == "ours":
        call = adopt(call)
        call.graph(x, edges).add_self_loops().adjacency.transpose  # noqa: B018 - part of the data, not of the call

    def run() -> None:
        with torch.set_grad_enabled(training):
            out = call(x.requires_grad_(training), edges)
            if training:
                out.sum().backward()

    return run
