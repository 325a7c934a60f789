"""Networks on graphs: `model(x, graph)` returns one row per node."""

from gossamer.models.graph.appnp import APPNP as APPNP
from gossamer.models.graph.fnn import FNN as FNN
from gossamer.models.graph.gat import GAT as GAT
from gossamer.models.graph.gcn import GCN as GCN
from gossamer.models.graph.gin import GIN as GIN
from gossamer.models.graph.mlp import MLP as MLP
from gossamer.models.graph.readout import Readout as Readout
from gossamer.models.graph.sage import SAGE as SAGE

__all__ = ["APPNP", "FNN", "GAT", "GCN", "GIN", "MLP", "SAGE", "Readout"]
