"""Makes your own PyTorch Geometric network smaller: nothing in it has to change.

Replace `data` by your own `torch_geometric.data.Data` and `Net` by your own class. On the command line:

    gossamer compare --task examples/own_pyg_model.py:data --model examples/own_pyg_model.py:Net --out runs/own
"""

import torch
from torch_geometric.nn import GCNConv

import gossamer
from gossamer.tasks import NodeClassification, datasets


class Net(torch.nn.Module):
    """Two graph convolutions, as in any tutorial."""

    def __init__(self, features: int = 64, classes: int = 10) -> None:
        super().__init__()
        self.first, self.second = GCNConv(features, 128), GCNConv(128, classes)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """Returns one row of scores a node."""
        return self.second(self.first(x, edge_index).relu(), edge_index)


data = datasets.read("digits-graph").to_pyg()
if __name__ == "__main__":
    task = NodeClassification.from_graph(gossamer.Graph.from_pyg(data), edge_index=True)
    small = gossamer.compress(
        Net(),
        task,
        gossamer.method("gradual", sparsity=0.9),
        training=gossamer.Training(epochs=50),
        progress=False,
    )
    print(f"accuracy {small.quality['accuracy']:.1%}, {small.sparsity:.0%} of the weights are zero,")
    print(f"{small.cost_before.bytes} bytes became {small.cost.bytes}, ", end="")
    print(f"{small.cost_before.latency_ms:.2f} ms became {small.cost.latency_ms:.2f} ms")
    small.save("small.gossamer")
    same = gossamer.load("small.gossamer", model=Net())  # plain modules, exact zeros
