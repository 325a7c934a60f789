"""Graphs in memory and on disk: matrices, conversions, generators, readers, samplers, walks and their vectors.

What removes edges is in `gossamer.graph.sparsify`.
"""

from gossamer.graph.as_graph import as_graph as as_graph
from gossamer.graph.csr import CSR as CSR
from gossamer.graph.edges import EdgeList as EdgeList
from gossamer.graph.generate import csbm as csbm
from gossamer.graph.generate import knn_graph as knn_graph
from gossamer.graph.generate import power_law as power_law
from gossamer.graph.generate import random_graph as random_graph
from gossamer.graph.generate_events import community_events as community_events
from gossamer.graph.generate_events import talk_events as talk_events
from gossamer.graph.graph import Graph as Graph
from gossamer.graph.growing import GrowingGraph as GrowingGraph
from gossamer.graph.kept import KeptEdges as KeptEdges
from gossamer.graph.links import Links as Links
from gossamer.graph.negatives import NegativeSampler as NegativeSampler
from gossamer.graph.read import read_edges as read_edges
from gossamer.graph.read import read_graph as read_graph
from gossamer.graph.sample import ByWeight as ByWeight
from gossamer.graph.sample import Latest as Latest
from gossamer.graph.sample import NeighborSampler as NeighborSampler
from gossamer.graph.sample import Pick as Pick
from gossamer.graph.sample import Sample as Sample
from gossamer.graph.sample import Uniform as Uniform
from gossamer.graph.sample import induced as induced
from gossamer.graph.skipgram import Embeddings as Embeddings
from gossamer.graph.skipgram import SkipGram as SkipGram
from gossamer.graph.skipgram import embed_walks as embed_walks
from gossamer.graph.typed import TypedSample as TypedSample
from gossamer.graph.typed import TypedSampler as TypedSampler
from gossamer.graph.walks import Bias as Bias
from gossamer.graph.walks import TemporalWalker as TemporalWalker
from gossamer.graph.walks import Walker as Walker
from gossamer.graph.walks import from_every_node as from_every_node

__all__ = [
    "CSR",
    "Bias",
    "ByWeight",
    "EdgeList",
    "Embeddings",
    "Graph",
    "GrowingGraph",
    "KeptEdges",
    "Latest",
    "Links",
    "NegativeSampler",
    "NeighborSampler",
    "Pick",
    "Sample",
    "SkipGram",
    "TemporalWalker",
    "TypedSample",
    "TypedSampler",
    "Uniform",
    "Walker",
    "as_graph",
    "community_events",
    "csbm",
    "embed_walks",
    "from_every_node",
    "induced",
    "knn_graph",
    "power_law",
    "random_graph",
    "read_edges",
    "read_graph",
    "talk_events",
]
