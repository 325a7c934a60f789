"""Reads graphs whose edges have times and whose nodes have labels, for classification by walks in time."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.graph import Graph, read_edges

_COLUMNS = ("source", "target", "time", "group_of_source", "group_of_target")


def read_contacts(paths: Sequence[Path]) -> Graph:
    """Reads contacts between people of groups: `i j t group_i group_j` a line. Contacts go both ways.

    Raises:
        DataError: The file does not hold contacts, or a person is in two groups.
    """
    edges = read_edges(paths[0], columns=_COLUMNS)
    groups = [edges.columns[name] for name in _COLUMNS[3:]]
    person, group = np.concatenate([edges.source, edges.target]), np.concatenate(groups)
    classes = np.unique(group, return_inverse=True)[1]
    y = np.full(edges.num_nodes, -1)
    y[person] = classes
    wrong = np.flatnonzero(y[person] != classes)
    if len(wrong):
        raise DataError(
            f"{paths[0]}: {edges.ids[person[wrong[0]]]} is in two groups, expected one; get the original file"
        )
    assert edges.time is not None
    return _both_ways(torch.from_numpy(edges.source), torch.from_numpy(edges.target), torch.tensor(edges.time), y)


def read_coauthors(paths: Sequence[Path]) -> Graph:
    """Reads co-authors by year: arrays `u`, `v`, `year` and `label_overall`, -1 where unknown. Edges go both ways.

    Raises:
        DataError: The file is damaged or lacks an array.
    """
    try:
        with np.load(paths[0], allow_pickle=False) as found:
            u, v, year, y = (found[name].astype(np.int64) for name in ("u", "v", "year", "label_overall"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{paths[0]}: expected u, v, year and label_overall ({error}); get the original file"
        ) from error
    known = y >= 0
    y[known] = np.unique(y[known], return_inverse=True)[1]  # one field does not occur
    return _both_ways(torch.from_numpy(u), torch.from_numpy(v), torch.from_numpy(year), y)


def _both_ways(source: Tensor, target: Tensor, time: Tensor, y: np.ndarray) -> Graph:
    edges = torch.stack([torch.cat([source, target]), torch.cat([target, source])])
    return Graph.from_edge_index(edges, len(y), y=torch.from_numpy(y), edge_data={"time": time.repeat(2)})
