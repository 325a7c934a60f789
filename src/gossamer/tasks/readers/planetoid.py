"""Reads Cora, Citeseer and PubMed as Yang et al. 2016 ("Revisiting Semi-Supervised Learning") prepared them.

Eight files a set. `x`, `y` are the training rows, `allx`, `ally` all rows but the test rows, `tx`, `ty` the
test rows in the order of `test.index`. Citeseer has isolated test nodes without a row; they get zero features
and the label -1. The public split is: the rows of `x` for training, the 500 after them for validation,
`test.index` for test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph import CSR, Graph
from gossamer.tasks.readers.assemble import features, node_graph, undirected
from gossamer.tasks.readers.pickles import read_array, read_lists, read_matrix
from gossamer.tasks.readers.text import read_integers

PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
STRUCTURE_PARTS = ("y", "ty", "ally", "graph", "test.index")

_READ: dict[str, Callable[[Path], Any]] = {
    "x": read_matrix,
    "tx": read_matrix,
    "allx": read_matrix,
    "y": read_array,
    "ty": read_array,
    "ally": read_array,
    "graph": read_lists,
    "test.index": lambda path: read_integers(path)[:, 0],
}


def read_planetoid(paths: Sequence[Path]) -> Graph:
    """Reads a set from its eight files, in the order of `PARTS`; features are row-normalised.

    Raises:
        DataError: A file is damaged or the files do not fit together.
    """
    part = _parts(PARTS, paths)
    row, known = _rows(part, paths[-1].parent), part["allx"].shape[0]
    if (known, part["tx"].shape[0]) != (len(part["ally"]), len(part["ty"])):
        raise DataError(
            f"{paths[-1].parent}: {known} + {part['tx'].shape[0]} rows of features for {len(part['ally'])} +"
            f" {len(part['ty'])} labels; the files are of different sets, get all eight again"
        )
    nothing = sparse.csr_matrix((1, part["tx"].shape[1]), dtype=np.float32)
    x = sparse.vstack([part["allx"], part["tx"], nothing], format="csr")[row]
    return _labelled(part, row, features(x, normalise=True), paths[-2])


def read_planetoid_structure(paths: Sequence[Path]) -> Graph:
    """Reads a set without features from five files, in the order of `STRUCTURE_PARTS`.

    The features are the unit matrix, one column a node, so that a network learns from the edges alone.

    Raises:
        DataError: A file is damaged or the files do not fit together.
    """
    part = _parts(STRUCTURE_PARTS, paths)
    row = _rows(part, paths[-1].parent)
    nodes = len(row)
    unit = CSR(torch.arange(nodes + 1), torch.arange(nodes), shape=(nodes, nodes))
    return _labelled(part, row, unit, paths[-2])


def _parts(names: Sequence[str], paths: Sequence[Path]) -> dict[str, Any]:
    return {name: _READ[name](path) for name, path in zip(names, paths, strict=True)}


def _rows(part: dict[str, Any], where: Path) -> NDArray[np.int64]:
    """Returns the row of each node in [ally; ty; one more row for nodes that no file describes]."""
    test, known = part["test.index"], len(part["ally"])
    if len(test) != len(part["ty"]) or test.min() != known or len(np.unique(test)) != len(test):
        raise DataError(
            f"{where}: {len(part['ty'])} test labels after {known} others do not fit {len(test)} test nodes"
            f" from {test.min()}; the files are of different sets, get them all again"
        )
    row = np.full(int(test.max()) + 1, known + len(test))
    row[:known] = np.arange(known)
    row[test] = known + np.arange(len(test))
    return row


def _labelled(part: dict[str, Any], row: NDArray[np.int64], x: Tensor | CSR, edges: Path) -> Graph:
    y = np.concatenate([part["ally"].argmax(axis=1), part["ty"].argmax(axis=1), [-1]])[row]
    neighbours = part["graph"]
    source = np.repeat(np.fromiter(neighbours, np.int64), [len(found) for found in neighbours.values()])
    target = np.concatenate([np.asarray(found, np.int64) for found in neighbours.values()])
    node, train = np.arange(len(row)), len(part["y"])
    masks = {
        "train": node < train,
        "val": (node >= train) & (node < train + 500),
        "test": np.isin(node, part["test.index"]),
    }
    return node_graph(undirected(source, target, len(row), where=edges), x, y, masks)
