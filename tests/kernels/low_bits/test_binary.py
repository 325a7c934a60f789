from __future__ import annotations

import torch

from gossamer.kernels.low_bits import binary_linear, binary_matmul, pack_bits, pack_signs, to_panels


def test_worked_example():
    x = torch.tensor([[0.5, -2.0, 3.0], [-1.0, -1.0, -1.0]])
    weight = torch.tensor([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    panels = to_panels(pack_bits(weight < 0))
    words, _ = pack_signs(x)
    assert binary_matmul(words, panels, 3, 2).tolist() == [[-1, 1], [-1, 1]]
    words, x_scale = pack_signs(x, mean=True)
    out = binary_linear(words, panels, 3, torch.tensor([2.0, 1.0]), x_scale=x_scale, bias=torch.tensor([0.0, 10.0]))
    torch.testing.assert_close(out, torch.tensor([[-11 / 3, 10 + 11 / 6], [-2.0, 11.0]]))
