from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.prune.allocation import Allocation, ErdosRenyiKernel, Global, Uniform, apportion
from gossamer.prune.selection import GONE, Groups, kept, select

shapes = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=5,
)
sparsities = st.floats(0.0, 0.999)
allocations = st.sampled_from([Uniform(), Global(), ErdosRenyiKernel()])


def layer(shape: tuple[int, ...], seed: int = 0, *, levels: int = 5) -> Groups:
    """Single weights with scores of which many tie."""
    count = math.prod(shape)
    score = torch.randint(levels, (count,), generator=torch.Generator().manual_seed(seed)).double()
    return Groups(f"layer{seed}", shape, score, torch.ones(count, dtype=torch.int64))


@given(shapes, sparsities, allocations)
def test_totals_are_exact_and_no_layer_dies(
    shapes: list[tuple[int, ...]], sparsity: float, allocation: Allocation
) -> None:
    layers = [layer(shape, seed) for seed, shape in enumerate(shapes)]
    budgets = allocation.budgets(layers, sparsity)
    assert sum(budgets) == max(kept(sum(math.prod(shape) for shape in shapes), sparsity), len(shapes))
    assert all(1 <= budget <= math.prod(shape) for budget, shape in zip(budgets, shapes, strict=True))
    assert [int(select(one, budget).sum()) for one, budget in zip(layers, budgets, strict=True)] == budgets


@given(shapes, sparsities, sparsities, allocations)
def test_what_is_gone_stays_gone_and_the_total_stays_exact(
    shapes: list[tuple[int, ...]], first: float, second: float, allocation: Allocation
) -> None:
    low, high = sorted((first, second))
    layers = [layer(shape, seed) for seed, shape in enumerate(shapes)]
    remaining = []
    for one, budget in zip(layers, allocation.budgets(layers, low), strict=True):
        score = torch.rand(len(one.score), dtype=torch.float64).masked_fill(~select(one, budget), GONE)
        remaining.append(Groups(one.name, one.shape, score, one.sizes))
    budgets = allocation.budgets(remaining, high)
    found = [int(select(one, budget).sum()) for one, budget in zip(remaining, budgets, strict=True)]
    assert sum(found) == max(kept(sum(math.prod(shape) for shape in shapes), high), len(shapes))


@given(shapes, st.floats(0.01, 0.99))
def test_erdos_renyi_against_the_rule_written_out(shapes: list[tuple[int, ...]], sparsity: float) -> None:
    budgets = ErdosRenyiKernel().budgets([layer(shape) for shape in shapes], sparsity)
    total = kept(sum(math.prod(shape) for shape in shapes), sparsity)
    dense: set[int] = set()
    while True:
        rest = [i for i in range(len(shapes)) if i not in dense]
        room = total - sum(math.prod(shapes[i]) for i in dense)
        if not rest:
            break
        epsilon = room / sum(sum(shapes[i]) for i in rest)
        over = {i for i in rest if epsilon * sum(shapes[i]) > math.prod(shapes[i])}
        if not over:
            break
        dense |= over
    expected = [float(math.prod(shape)) if i in dense else epsilon * sum(shape) for i, shape in enumerate(shapes)]
    if min(expected) >= 1:  # else the floor of one weight a layer decides
        assert all(abs(budget - exact) < 1 for budget, exact in zip(budgets, expected, strict=True))


def test_uniform_gives_each_layer_its_share() -> None:
    budgets = Uniform().budgets([layer((64, 100)), layer((10, 64)), layer((7, 3))], 0.9)
    assert budgets == [636, 64, 7]  # of 707; 2 of the last layer's 21 would leave outputs without a weight


def test_uniform_floors_at_the_best_group_where_outputs_exceed_the_total() -> None:
    assert Uniform().budgets([layer((10, 10)), layer((10, 10))], 0.97) == [3, 3]


def test_global_follows_scores_across_layers() -> None:
    strong = Groups("strong", (2, 4), torch.arange(10.0, 18.0), torch.ones(8, dtype=torch.int64))
    weak = Groups("weak", (2, 4), torch.arange(0.0, 8.0), torch.ones(8, dtype=torch.int64))
    assert Global().budgets([weak, strong], 0.5) == [1, 7]


def test_groups_larger_than_the_budget_win() -> None:
    filters = Groups("conv", (2, 8), torch.tensor([1.0, 2.0]), torch.tensor([8, 8]))
    for allocation in (Uniform(), Global(), ErdosRenyiKernel()):
        assert allocation.budgets([filters], 0.9) == [8]


@given(st.data())
def test_apportion_is_exact_within_bounds(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    shares = data.draw(st.lists(st.integers(1, 1000), min_size=count, max_size=count))
    lowest = data.draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    highest = [low + data.draw(st.integers(0, 500)) for low in lowest]
    total = data.draw(st.integers(0, sum(highest) + 10))
    result = apportion(shares, total, lowest=lowest, highest=highest, quanta=[1] * count)
    assert sum(result) == min(max(total, sum(lowest)), sum(highest))
    assert all(low <= value <= high for low, value, high in zip(lowest, result, highest, strict=True))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40)), min_size=1, max_size=5), st.floats(0, 1))
def test_apportion_in_quanta_leaves_less_than_one(layers: list[tuple[int, int]], part: float) -> None:
    quanta = [quantum for quantum, _ in layers]
    highest = [quantum * count for quantum, count in layers]
    total = max(int(part * sum(highest)), sum(quanta))
    result = apportion(highest, total, lowest=quanta, highest=highest, quanta=quanta)
    assert all(value % quantum == 0 for value, quantum in zip(result, quanta, strict=True))
    room = [quantum for quantum, value, high in zip(quanta, result, highest, strict=True) if value < high]
    assert total - sum(result) >= 0
    assert total - sum(result) < max(room, default=1)


@pytest.mark.parametrize("total", [7, 8, 9])
def test_apportion_rounds_the_largest_remainders_up(total: int) -> None:
    assert apportion([1, 1, 1], total, lowest=[0] * 3, highest=[9] * 3, quanta=[1] * 3) == sorted(
        [total // 3 + (i < total % 3) for i in range(3)], reverse=True
    )
