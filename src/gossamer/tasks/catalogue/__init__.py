"""The named data sets: what each is, which files hold it, how they are read, and where they can be had.

Paths are relative to the folders that `locate` searches. Sizes are those of the published files; the tests
compare them with the files where these are present.
"""

from __future__ import annotations

from collections.abc import Mapping

from gossamer.tasks.catalogue.bundled import bundled_sets
from gossamer.tasks.catalogue.entry import DataSet as DataSet
from gossamer.tasks.catalogue.entry import Kind as Kind
from gossamer.tasks.catalogue.entry import Raw as Raw
from gossamer.tasks.catalogue.graphs import graph_sets
from gossamer.tasks.catalogue.images import image_sets
from gossamer.tasks.catalogue.links import link_sets
from gossamer.tasks.catalogue.nodes import node_sets

CATALOGUE: Mapping[str, DataSet] = {
    entry.name: entry for sets in (bundled_sets, node_sets, link_sets, graph_sets, image_sets) for entry in sets()
}

__all__ = ["CATALOGUE", "DataSet", "Kind", "Raw"]
