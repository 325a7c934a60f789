"""The graph isomorphism network: it tells apart what a mean cannot."""

import torch

from gossamer.models.graph import GIN, SAGE


def test_two_equal_neighbours_differ_from_one():
    # Node 0 hears one neighbour, node 1 two, all alike: means are equal, sums are not (section 5.2 of the paper).
    x, edges = torch.ones(5, 2), torch.tensor([[2, 3, 4], [0, 1, 1]])
    torch.manual_seed(0)
    sums, means = (network(2, 8, 3).eval()(x, edges) for network in (GIN, SAGE))
    assert not torch.allclose(sums[0], sums[1])
    assert torch.allclose(means[0], means[1])
