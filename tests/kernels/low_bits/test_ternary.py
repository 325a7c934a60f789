from __future__ import annotations

import torch

from gossamer.kernels.low_bits import pack_ternary, ternary_linear, ternary_matmul, to_panels


def test_worked_example():
    x = torch.tensor([[0.5, -2.0, 3.0, 0.1]])
    panels = to_panels(pack_ternary(torch.tensor([[1.0, 1.0, -1.0, 1.0], [0.0, -1.0, 0.0, 1.0]]), 0.0)[0])
    words, _ = pack_ternary(x, 0.3)  # 1, -1, 1, 0
    assert ternary_matmul(words, panels, 4, 2).tolist() == [[-1, 1]]
    out = ternary_linear(words, panels, 4, torch.tensor([2.0, 3.0]), bias=torch.tensor([0.0, 10.0]))
    assert out.tolist() == [[-2.0, 13.0]]


def test_the_sign_of_a_zero_does_not_matter():
    nonzero = torch.tensor([[5]], dtype=torch.int32)
    clean, dirty = (torch.stack([nonzero, torch.tensor([[sign]], dtype=torch.int32)], -1) for sign in (4, 6))
    panels = to_panels(pack_ternary(torch.tensor([[1.0, 1.0, 1.0]]), 0.0)[0])
    assert ternary_matmul(clean, panels, 3, 1).tolist() == ternary_matmul(dirty, panels, 3, 1).tolist() == [[0]]
