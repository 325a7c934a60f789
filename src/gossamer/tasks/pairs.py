"""Numbers the unordered pairs of nodes, and draws pairs that no edge joins.

Pair {low < high} has the number high·(high − 1)/2 + low. With the edges' numbers sorted, the r-th number that
is *not* an edge is found by one binary search, so a draw of non-edges is exactly uniform, needs no rejection,
and works on graphs that are nearly complete as well as on very sparse ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.errors import DataError


def number(low: Tensor, high: Tensor) -> Tensor:
    """Returns the number of each pair, (n,) int64; `low` < `high` elementwise."""
    return high * (high - 1) // 2 + low


def nodes_of(numbers: Tensor) -> Tensor:
    """Returns the nodes of each numbered pair, (2, n) int64, the lower in row 0."""
    high = ((1.0 + (1.0 + 8.0 * numbers.double()).sqrt()) / 2.0).long()
    high = high - (high * (high - 1) // 2 > numbers).long()  # the square root may round up
    high = high + (high * (high + 1) // 2 <= numbers).long()  # or down
    return torch.stack([numbers - high * (high - 1) // 2, high])


def count(nodes: int) -> int:
    """Returns how many unordered pairs of distinct nodes there are."""
    return nodes * (nodes - 1) // 2


def draw_non_edges(amount: int, nodes: int, edges: Tensor, draw: torch.Generator, *, distinct: bool = False) -> Tensor:
    """Draws pairs of distinct nodes that are not edges, uniformly.

    Args:
        amount: How many.
        nodes: The number of nodes.
        edges: The numbers of the edges' pairs, sorted and distinct.
        draw: A CPU generator.
        distinct: Whether no pair may come twice.

    Returns:
        (2, amount) int64, the lower node in row 0.

    Raises:
        DataError: There are not so many (or, unless `distinct`, none).
    """
    free = count(nodes) - len(edges)
    if free < (amount if distinct else min(amount, 1)):
        raise DataError(
            f"a graph of {nodes} nodes and {len(edges)} edges has {free} pairs without an edge,"
            f" expected at least {amount}; take a sparser graph or smaller splits"
        )
    rank = _distinct(amount, free, draw) if distinct else torch.randint(max(free, 1), (amount,), generator=draw)
    rank = rank.to(edges.device)
    gaps_before = edges - torch.arange(len(edges), device=edges.device)  # free numbers below each edge
    return nodes_of(rank + torch.searchsorted(gaps_before, rank, right=True))


def _distinct(amount: int, limit: int, draw: torch.Generator) -> Tensor:
    """Returns `amount` different numbers below `limit`, in random order."""
    if limit <= 4 * amount:
        return torch.randperm(limit, generator=draw)[:amount]
    found = torch.empty(0, dtype=torch.int64)
    while len(found) < amount:  # at most a quarter of the numbers is taken, so this ends after a few rounds
        found = torch.unique(torch.cat([found, torch.randint(limit, (2 * amount,), generator=draw)]))
    return found[torch.randperm(len(found), generator=draw)[:amount]]
