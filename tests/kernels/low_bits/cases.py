"""Integer matrices to try products on, and what the products must give, computed by numpy in 64-bit integers."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

# Around the word (32), the panel (16), the tiles (2, 4, 6, 24) and the counters of bytes (15, 31 words); and zero.
ROWS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 23, 24, 25, 31, 49]
COLUMNS = [0, 1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 100, 128, 480, 481, 992, 993, 1025, 2000]
OUTPUTS = [0, 1, 2, 15, 16, 17, 32, 33]

rows, columns, outputs = st.sampled_from(ROWS), st.sampled_from(COLUMNS), st.sampled_from(OUTPUTS)
seeds = st.integers(0, 2**32 - 1)


def integers(low: int, high: int, *shape: int, seed: int = 0) -> Tensor:
    """Returns integers in [low, high] as int8."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, generator=generator).to(torch.int8)


def signs(*shape: int, seed: int = 0) -> Tensor:
    """Returns -1 and 1 as int8."""
    return integers(0, 1, *shape, seed=seed) * 2 - 1


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Returns float32 normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def exact(x: Tensor, weight: Tensor) -> Tensor:
    """Returns x @ weight.T, (rows, outputs), as int32."""
    product = x.numpy().astype(np.int64) @ weight.numpy().astype(np.int64).T
    assert np.abs(product).max(initial=0) < 2**31
    return torch.from_numpy(product).to(torch.int32)
