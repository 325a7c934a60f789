"""Reads graphs from files: edge lists as text, compressed or not, and Parquet.

`read_edges` gives the edges as the file lists them, `read_graph` the graph that they make.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gossamer.graph.edges import EdgeList
from gossamer.graph.formats import ROLES, Columns, is_parquet, read_parquet, read_text
from gossamer.graph.graph import Graph


def read_edges(
    path: str | Path,
    *,
    columns: Columns | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    comment: str = "#%",
    string_ids: bool | None = None,
    bipartite: bool | None = None,
) -> EdgeList:
    """Reads an edge list: one edge a line, or one a row of a Parquet file.

    Plain, gzip, Zstandard, xz and bzip2 files are read alike. Nodes are numbered 0 to N - 1 in the order of
    their ids, which `EdgeList.ids` keeps. What is not said is seen from the first lines: the delimiter
    (comma, semicolon, bar, tab, or any run of blanks), whether there is a header, and whether ids are
    integers or strings.

    Columns get their meaning from `columns`, else from the header or from SNAP's, KONECT's and MatrixMarket's
    comments, else two columns are source and target. More columns without names are refused: whether a third
    is a weight or a time cannot be seen.

    Args:
        path: The file.
        columns: The name of each column in order, such as `("source", "target", "weight", "time")`, or a
            mapping from these to header names or places from 0. Others are kept under their names; `"_"` is
            left out. A sign or a rating is a weight.
        delimiter: One character, or " " for any run of blanks.
        header: Whether the first line that is not a comment holds names.
        comment: Characters that start a comment line; "" for none. Not for Parquet.
        string_ids: True reads ids as strings, whatever they look like (negative or huge numbers too).
        bipartite: Whether equal ids at the two ends are different nodes; KONECT's `bip` says so too.

    Returns:
        The edges, in the order of the file.

    Raises:
        DataError: The file does not hold edges; the message names the line, what it holds and what was
            expected.
        FileError: The file is missing, truncated or damaged.
    """
    path = Path(path)
    undirected = False
    if is_parquet(path):
        table = read_parquet(path, columns=columns, string_ids=string_ids)
    else:
        table, layout = read_text(
            path,
            columns=columns,
            delimiter=delimiter,
            header=header,
            comment=comment,
            string_ids=string_ids,
        )
        undirected = layout.undirected
        bipartite = layout.bipartite if bipartite is None else bipartite
    # Arrow lends read-only memory; what the caller gets is the caller's.
    values = {
        name: np.require(table[name].to_numpy(), requirements="W")
        for name in table.column_names
        if name not in ROLES[:2]
    }
    return EdgeList.from_ids(
        table["source"],
        table["target"],
        bipartite=bool(bipartite),
        weight=values.pop("weight", None),
        time=values.pop("time", None),
        columns=values,
        undirected=undirected,
    )


def read_graph(
    path: str | Path,
    *,
    directed: bool | None = None,
    columns: Columns | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    comment: str = "#%",
    string_ids: bool | None = None,
    bipartite: bool | None = None,
) -> Graph:
    """Reads an edge list and returns the graph it makes; time and numeric columns become `edge_data`.

    Args:
        path: The file.
        directed: False adds the reverse of each edge; None does so where the file says that it is undirected.
        columns: See `read_edges`, as for the other arguments.
        delimiter: See `read_edges`.
        header: See `read_edges`.
        comment: See `read_edges`.
        string_ids: See `read_edges`.
        bipartite: See `read_edges`.

    Raises:
        DataError: The file does not hold edges.
        FileError: The file is missing, truncated or damaged.
    """
    edges = read_edges(
        path,
        columns=columns,
        delimiter=delimiter,
        header=header,
        comment=comment,
        string_ids=string_ids,
        bipartite=bipartite,
    )
    return edges.to_graph(directed=directed)
