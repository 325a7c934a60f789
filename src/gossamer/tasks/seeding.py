"""Makes random generators from whole numbers, so that every draw of a task can be repeated.

A key such as (seed, epoch) is mixed by numpy's `SeedSequence` before it seeds torch: neighbouring keys give
unrelated streams, and (1, 2) is not (2, 1).
"""

from __future__ import annotations

import numpy as np
import torch


def generator(*key: int) -> torch.Generator:
    """Returns a CPU generator that depends on the key's numbers, each in [0, 2^64), and on nothing else."""
    # SeedSequence takes (1,) and (1, 0) for the same, so each number has two words, and their count comes first.
    words = [len(key), *(word for number in key for word in (number & 0xFFFFFFFF, number >> 32))]
    state = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state)
