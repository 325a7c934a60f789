from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.kernels import native
from gossamer.kernels.negatives import FreeNumbers, draw_free, draw_free_reference

pytestmark = pytest.mark.skipif(not native.available(), reason="no native kernels here")


@given(st.sets(st.integers(0, 63)), st.integers(0, 9))
def test_every_rank_is_found(taken, columns):
    columns += 1
    known = torch.tensor(sorted(taken), dtype=torch.int64)
    left = [n for n in range(64) if n not in taken]
    ranks, one = torch.arange(len(left)), torch.ones(len(left), dtype=torch.int64)
    found = draw_free(FreeNumbers.below(known, 64), columns, ranks, one, key=5)
    assert (found[0] * columns + found[1]).tolist() == left


@pytest.mark.parametrize("taken", [[], [0], [63], list(range(40)), list(range(20, 64)), list(range(0, 64, 2))])
def test_draws_are_those_of_the_reference(taken, threads):
    free = FreeNumbers.below(torch.tensor(taken, dtype=torch.int64), 64)
    first = torch.arange(20_000) % 3
    bound = torch.full((20_000,), 64 - len(taken) - 3)
    for start in (None, first):
        wanted = draw_free_reference(free, 8, start, bound, key=11)
        for count in (1, 3):
            torch.set_num_threads(count)
            assert torch.equal(draw_free(free, 8, start, bound, key=11), wanted)
