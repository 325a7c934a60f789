"""The GraphSAGE network: its size on Cora, and that it hears neighbours without the node itself."""

import torch

from gossamer.models.graph import SAGE


def test_the_number_of_parameters_on_cora():
    expected = 2 * 1433 * 16 + 16 + 2 * 16 * 7 + 7
    assert sum(p.numel() for p in SAGE(1433, 16, 7).parameters()) == expected


def test_a_node_without_edges_hears_nobody():
    model = SAGE(4, 8, 3).eval()
    x, none = torch.randn(5, 4), torch.empty(2, 0, dtype=torch.int64)
    torch.testing.assert_close(model(x, none)[2:3], model(x[2:3], none))
