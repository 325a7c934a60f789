"""Graphs in memory and on disk: sparse matrices, conversions, normalisation, generators and readers."""

from gossamer.graph.as_graph import as_graph as as_graph
from gossamer.graph.csr import CSR as CSR
from gossamer.graph.edges import EdgeList as EdgeList
from gossamer.graph.generate import csbm as csbm
from gossamer.graph.generate import knn_graph as knn_graph
from gossamer.graph.generate import power_law as power_law
from gossamer.graph.generate import random_graph as random_graph
from gossamer.graph.graph import Graph as Graph
from gossamer.graph.read import read_edges as read_edges
from gossamer.graph.read import read_graph as read_graph

__all__ = [
    "CSR",
    "EdgeList",
    "Graph",
    "as_graph",
    "csbm",
    "knn_graph",
    "power_law",
    "random_graph",
    "read_edges",
    "read_graph",
]
