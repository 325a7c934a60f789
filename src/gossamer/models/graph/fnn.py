"""A feed-forward network on vectors that are given: of nodes, or of both ends of a link.

The classifier on top of temporal walks: Talati et al., "A deep dive into understanding the random walk-based temporal
graph learning", IISWC 2021; Peng et al., "Towards sparsification of graph neural networks", ICCD 2022. For links one
hidden layer of 128; for nodes hidden layers of 256 and 128 without biases, with dropout. Ours: the output is the last
linear layer's, where their code for nodes has dropout and ReLU after that too, which can leave a class no gradient.
While it learns on the CPU, its layers run as one step with products in the dataflow that suits them (`nn.chain`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.errors import ModelError
from gossamer.graph import Graph
from gossamer.nn import Features, Linear, dropout
from gossamer.nn.chain import chain, chain_logistic, chains, learn_logistic


class FNN(nn.Module):
    """Linear layers with ReLU, and dropout of what the hidden ones give.

    Args:
        in_features: Width of the vectors.
        out_features: Width of the output: the number of classes, or 1 for the score of a link.
        hidden: Width of each layer between; none makes the network linear.
        bias: Whether layers have one.
        dropout: Probability of dropping an element of a hidden layer while training.

    Raises:
        ModelError: A hidden layer has no width.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: int | Sequence[int] = (128,),
        *,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = [hidden] if isinstance(hidden, int) else list(hidden)
        if min(hidden, default=1) < 1:
            raise ModelError(f"fnn: hidden is {hidden}; expected widths of at least 1")
        self.dropout = dropout
        wide = [in_features, *hidden, out_features]
        self.linears = nn.ModuleList(Linear(before, after, bias=bias) for before, after in pairwise(wide))

    def forward(self, x: Features, graph: Graph | Tensor | None = None) -> Tensor:
        """Maps vectors (N, in_features) to (N, out_features); `graph` is not used."""
        if chains(x, self.linears):
            return chain(x, self.linears, drop=self.dropout if self.training else 0.0)
        free = not torch.is_grad_enabled()  # to overwrite: a fresh tensor costs more than the arithmetic
        first, *others = self.linears
        out: Tensor = first(x)
        for linear in others:
            out = linear(dropout(F.relu(out, inplace=free), self.dropout, self.training))
        return out

    def logistic_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns the mean logistic loss of the scores of vectors x (N, in_features) against y (N,) in [0, 1].

        The network has one output. On the CPU the loss and its gradients take one pass over the rows.
        """
        if self._in_one_pass(x):
            return chain_logistic(x, y, self.linears)
        return F.binary_cross_entropy_with_logits(self(x)[:, 0], y)

    def learn_logistic(self, x: Tensor, y: Tensor) -> Tensor | None:
        """Returns `logistic_loss` without gradient and leaves its gradients in those of the parameters.

        None, and nothing is left, where that takes automatic differentiation.
        """
        return learn_logistic(x, y, self.linears) if self._in_one_pass(x) else None

    def _in_one_pass(self, x: Tensor) -> bool:
        drops = self.training and self.dropout > 0.0
        if self.linears[-1].out_features != 1 or drops or x.requires_grad or self._forward_hooks:
            return False
        return chains(x, self.linears)
