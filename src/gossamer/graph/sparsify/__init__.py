"""Graphs with fewer edges: what stays is drawn by effective resistance, by degree, by similarity, or at random."""

from gossamer.graph.sparsify.local import LocalDegree as LocalDegree
from gossamer.graph.sparsify.local import LSpar as LSpar
from gossamer.graph.sparsify.local import NodeShare as NodeShare
from gossamer.graph.sparsify.random_edges import RandomEdges as RandomEdges
from gossamer.graph.sparsify.rank_degree import RankDegree as RankDegree
from gossamer.graph.sparsify.resistances import effective_resistances as effective_resistances
from gossamer.graph.sparsify.similarity import JaccardSimilarity as JaccardSimilarity
from gossamer.graph.sparsify.similarity import jaccard as jaccard
from gossamer.graph.sparsify.sparsifier import Chosen as Chosen
from gossamer.graph.sparsify.sparsifier import Sparsified as Sparsified
from gossamer.graph.sparsify.sparsifier import Sparsifier as Sparsifier
from gossamer.graph.sparsify.sparsifier import sparsify as sparsify
from gossamer.graph.sparsify.spectral import Spectral as Spectral

__all__ = [
    "Chosen",
    "JaccardSimilarity",
    "LSpar",
    "LocalDegree",
    "NodeShare",
    "RandomEdges",
    "RankDegree",
    "Sparsified",
    "Sparsifier",
    "Spectral",
    "effective_resistances",
    "jaccard",
    "sparsify",
]
