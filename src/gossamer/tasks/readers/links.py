"""Reads the graphs of the link prediction literature: MATLAB files of one symmetric matrix `net`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scipy import io

from gossamer.errors import DataError
from gossamer.graph import Graph
from gossamer.tasks.readers.assemble import undirected


def read_mat(paths: Sequence[Path]) -> Graph:
    """Reads one file; edges go both ways, each once, without weights.

    Raises:
        DataError: The file is damaged or holds no square matrix `net`.
    """
    try:
        net = io.loadmat(paths[0], variable_names=["net"])["net"].tocoo()
    except Exception as error:  # scipy raises whatever a damaged file makes its parser do
        raise DataError(
            f"{paths[0]}: expected a MATLAB v5 file with a sparse matrix 'net' ({error}); get the original"
        ) from error
    if net.shape[0] != net.shape[1]:
        raise DataError(f"{paths[0]}: 'net' is {net.shape[0]}x{net.shape[1]}, expected a square adjacency matrix")
    return Graph.from_edge_index(undirected(net.row, net.col, net.shape[0], where=paths[0]), net.shape[0])
