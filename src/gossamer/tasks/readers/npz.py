"""Reads node classification sets from .npz files, in the two layouts in use; nothing is unpickled.

The layout of Shchur et al. 2018 ("Pitfalls of Graph Neural Network Evaluation") holds two CSR matrices,
`adj_*` and `attr_*`, and `labels`; that of Platonov et al. 2023 ("A critical look at the evaluation of GNNs
under heterophily") holds `node_features`, `node_labels`, `edges` and ten splits.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gossamer.errors import DataError
from gossamer.graph import Graph
from gossamer.tasks.readers.assemble import features, node_graph, undirected


def read_sparse_npz(paths: Sequence[Path]) -> Graph:
    """Reads the first layout from its one file: row-normalised features, no splits, classes from 0."""
    parts = [f"{matrix}_{part}" for matrix in ("adj", "attr") for part in ("data", "indices", "indptr", "shape")]
    found = _arrays(paths[0], [*parts, "labels"])
    adjacency, attributes = (_matrix(paths[0], found, name) for name in ("adj", "attr"))
    edges = adjacency.tocoo()
    classes = np.unique(found["labels"], return_inverse=True)[1]  # some files count from 1
    edge_index = undirected(edges.row, edges.col, adjacency.shape[0], where=paths[0])
    return node_graph(edge_index, features(attributes, normalise=True), classes)


def read_heterophilous(paths: Sequence[Path]) -> Graph:
    """Reads the second layout from its one file: features as they are, masks (N, 10)."""
    splits = ("train", "val", "test")
    found = _arrays(paths[0], ["node_features", "node_labels", "edges", *(f"{split}_masks" for split in splits)])
    source, target = found["edges"].T
    y = found["node_labels"]
    return node_graph(
        undirected(source, target, len(y), where=paths[0]),
        features(found["node_features"], normalise=False),
        y,
        {split: found[f"{split}_masks"].T for split in splits},
    )


def _matrix(path: Path, found: dict[str, NDArray[Any]], name: str) -> sparse.csr_matrix:
    try:
        parts = tuple(found[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
        matrix = sparse.csr_matrix(parts, tuple(found[f"{name}_shape"]))
        matrix.check_format(full_check=True)
        return matrix
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: {name}_* make no CSR matrix ({error}); get the original file") from error


def _arrays(path: Path, names: list[str]) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive.files]
            if missing:
                raise DataError(f"{path}: found the arrays {', '.join(archive.files)}, expected also {missing[0]}")
            return {name: archive[name] for name in names}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: is not a readable .npz file ({error}); get the original file") from error
