from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import SettingError
from gossamer.prune.granularity import (
    NM,
    Channels,
    Columns,
    Filters,
    Granularity,
    Kernels,
    SIMDBlocks,
    SingleWeights,
    Vectors,
)
from gossamer.prune.selection import Groups, select, top

sides = st.integers(1, 40)
granularities = st.one_of(
    st.just(SingleWeights()),
    st.builds(SIMDBlocks, rows=st.integers(1, 20)),
    st.just(Filters()),
    st.just(NM()),
    st.builds(Columns, width=st.integers(1, 20)),
    st.builds(Vectors, width=st.integers(1, 20)),
)


def numbers(rows: int, columns: int) -> torch.Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(rows * 100 + columns))


@given(granularities, sides, sides, st.integers(0, 9))
def test_expand_and_active_are_inverse_and_sizes_count(
    granularity: Granularity, rows: int, columns: int, seed: int
) -> None:
    sizes = granularity.sizes(rows, columns)
    groups = torch.rand(len(sizes), generator=torch.Generator().manual_seed(seed)) < 0.5
    mask = granularity.expand(groups, rows, columns)
    assert mask.shape == (rows, columns)
    assert int(mask.sum()) == int(sizes[groups].sum())
    assert int(sizes.sum()) == rows * columns
    assert torch.equal(granularity.active(mask), groups)


@given(
    st.sampled_from([SingleWeights(), SIMDBlocks(rows=4), SIMDBlocks(), Filters(), Columns(width=4), Vectors()]),
    sides,
    sides,
)
def test_pool_is_the_mean_over_each_group(granularity: Granularity, rows: int, columns: int) -> None:
    values = numbers(rows, columns)
    pooled = granularity.pool(values)
    for i in range(len(pooled)):
        one = torch.zeros(len(pooled), dtype=torch.bool)
        one[i] = True
        members = values[granularity.expand(one, rows, columns)]
        torch.testing.assert_close(pooled[i], members.mean())


def test_simd_blocks_share_columns_within_blocks() -> None:
    mask = SIMDBlocks(rows=16).expand(torch.tensor([True, False, False, True]), 20, 2)
    assert mask[:16].tolist() == [[True, False]] * 16
    assert mask[16:].tolist() == [[False, True]] * 4


@given(st.integers(1, 7), st.integers(2, 8), sides, sides, st.booleans())
def test_n_m_pattern_is_valid_and_keeps_the_largest(n: int, m: int, rows: int, columns: int, ties: bool) -> None:
    n = min(n, m - 1)
    granularity = NM(n=n, m=m)
    values = torch.ones(rows, columns) if ties else numbers(rows, columns)
    assert granularity.sets_density
    budget = granularity.budget(rows, columns, 1 - n / m)
    assert budget == rows * sum(
        math.ceil(len(range(start, min(start + m, columns))) * n / m) for start in range(0, columns, m)
    )
    groups = Groups("w", (rows, columns), granularity.pool(values), granularity.sizes(rows, columns))
    mask = granularity.expand(select(groups, budget), rows, columns)
    assert int(mask.sum()) == budget
    for start in range(0, columns, m):
        piece = mask[:, start : start + m]
        length = piece.shape[1]
        assert torch.equal(piece.sum(1), torch.full((rows,), math.ceil(length * n / m)))
        for row in range(rows):
            expected = top(values[row, start : start + m], math.ceil(length * n / m))
            assert torch.equal(piece[row], expected)


def test_n_m_refuses_what_it_cannot_do() -> None:
    with pytest.raises(SettingError, match=r"sparsity is 0\.7; keeping 2 of 4 is sparsity 0\.5"):
        NM().check(0.7)
    with pytest.raises(SettingError, match="expected n below m"):
        NM(n=4, m=4)
    NM(n=1, m=3).check(1 - 1 / 3)


def test_channels_are_the_weights_on_one_input_channel() -> None:
    shape = (4, 3, 3, 2)
    pieces = Channels().of(shape)
    mask = pieces.expand(torch.tensor([True, False, True]), 4, 18).view(shape)
    assert mask[:, [0, 2]].all()
    assert not mask[:, 1].any()
    assert pieces.sizes(4, 18).tolist() == [24, 24, 24]
    assert Channels().of((5, 7)) == Columns()


def test_kernels_are_vectors_as_wide_as_the_taps_of_a_weight() -> None:
    assert Kernels().of((8, 4, 3, 3)) == Vectors(width=9)
    assert Kernels().of((8, 4)) == Vectors(width=1)
    mask = Kernels().of((2, 2, 1, 2)).expand(torch.tensor([True, False, False, True]), 2, 4)
    assert mask.tolist() == [[True, True, False, False], [False, False, True, True]]
