"""Random sparse matrices and graphs for property tests."""

import torch
from hypothesis import strategies as st

from gossamer.graph import Graph

WEIGHTS = st.floats(-4, 4, width=32, allow_subnormal=False)
POSITIVE = st.floats(0, 4, width=32, allow_subnormal=False)


@st.composite
def coordinates(draw, most=12):
    """Returns (row, column, values or None, shape): any order, duplicates, empty rows, zero sizes."""
    rows, columns = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    count = draw(st.integers(0, most)) if rows and columns else 0
    entries = st.lists(st.integers(0, max(rows - 1, 0)), min_size=count, max_size=count)
    row = torch.tensor(draw(entries), dtype=torch.int64)
    places = st.lists(st.integers(0, max(columns - 1, 0)), min_size=count, max_size=count)
    column = torch.tensor(draw(places), dtype=torch.int64)
    values = None
    if draw(st.booleans()):
        values = torch.tensor(draw(st.lists(WEIGHTS, min_size=count, max_size=count)), dtype=torch.float32)
    return row, column, values, (rows, columns)


@st.composite
def graphs(draw, most=14):
    """Returns a directed multigraph with loops, isolated nodes, and weights or none."""
    nodes = draw(st.integers(1, 7))
    ends = st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1))
    edges = draw(st.lists(ends, max_size=most))
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).t()
    values = None
    if draw(st.booleans()):
        values = torch.tensor(draw(st.lists(POSITIVE, min_size=len(edges), max_size=len(edges))), dtype=torch.float32)
    return Graph.from_edge_index(edge_index, nodes, values)
