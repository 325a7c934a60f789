"""Axes against an oracle that knows every position: equal positions by brute force."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.structure.axes import Axis, Mismatch, concat, factorise, product, split, unify


def test_what_is_unified_keeps_the_same_positions() -> None:
    a, b, c = Axis(3), Axis(3), Axis(3)
    unify(a, b)
    unify(b, c)
    assert a.root() is c.root()


def test_a_frozen_axis_freezes_what_it_is_tied_to_and_keeps_the_first_reason() -> None:
    a, b = Axis(6), Axis(6)
    outer, inner = factorise(b, 2, 3)
    a.freeze("first")
    a.freeze("second")
    unify(a, b)
    assert outer.root().frozen == inner.root().frozen == "first"


def test_a_product_is_kept_where_both_factors_are() -> None:
    a, b = Axis(2), Axis(3)
    whole = product(a, b)
    kept = {a: torch.tensor([True, False]), b: torch.tensor([True, False, True])}
    assert whole.keep(kept).tolist() == [True, False, True, False, False, False]
    assert whole.count({a: 1, b: 2}) == 2


def test_a_concatenation_is_kept_part_by_part() -> None:
    a, b = Axis(2), Axis(3)
    whole = concat(a, b, a)
    assert whole.keep({a: torch.tensor([False, True])}).tolist() == [False, True, True, True, True, False, True]
    assert whole.count({a: 1}) == 5


def test_units_of_a_leaf_by_position() -> None:
    a, b = Axis(2), Axis(3)
    whole = concat(product(a, b), a)
    assert [units.tolist() for units in whole.units(a)] == [
        [0, 0, 0, 1, 1, 1, -1, -1],
        [-1, -1, -1, -1, -1, -1, 0, 1],
    ]
    assert [units.tolist() for units in product(a, a).units(a)] == [[0, 0, 1, 1], [0, 1, 0, 1]]


def test_a_concatenation_of_equal_parts_becomes_a_product() -> None:
    query, key, value = Axis(12), Axis(12), Axis(12)
    fused = concat(query, key, value)
    outer, inner = factorise(fused, 3, 12)
    assert outer.size == 3
    assert query.root() is key.root() is value.root() is inner.root()
    heads, width = factorise(query, 3, 4)
    assert fused.count({heads.root(): 2}) == 3 * 8
    assert fused.count({width.root(): 1}) == 3 * 3


def test_chains_of_products_are_refined_to_their_common_factors() -> None:
    whole, other = product(Axis(4), Axis(6)), product(Axis(2), Axis(12))
    unify(whole, other)
    assert [leaf.size for leaf in whole.leaves()] == [2, 2, 6]
    assert list(whole.leaves()) == list(other.leaves())


@pytest.mark.parametrize("sizes", [((6, 4), (4, 6)), ((2, 3), (3, 2))])
def test_what_has_no_common_reading_is_a_mismatch(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    one, other = (product(*map(Axis, pair)) for pair in sizes)
    with pytest.raises(Mismatch):
        unify(one, other)


def test_sizes_must_agree() -> None:
    with pytest.raises(Mismatch):
        unify(Axis(2), Axis(3))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_concatenations_are_cut_at_the_points_of_both(one: list[int], other: list[int]) -> None:
    short = min(sum(one), sum(other))
    axes = []
    for sizes in (one, other):
        whole, _ = split(concat(*map(Axis, sizes)), short)
        axes.append(whole)
    unify(*axes)
    assert list(axes[0].leaves()) == list(axes[1].leaves())
    assert sum(leaf.size for leaf in axes[0].leaves()) == short


@given(st.data())
def test_keep_and_count_agree_on_random_axes(data: st.DataObject) -> None:
    leaves = [Axis(data.draw(st.integers(1, 3))) for _ in range(3)]
    axis = data.draw(st.sampled_from(leaves))
    for _ in range(data.draw(st.integers(0, 3))):
        join = data.draw(st.sampled_from([product, concat]))
        axis = join(axis, data.draw(st.sampled_from(leaves)))
    kept = {
        leaf: torch.tensor([data.draw(st.booleans()) for _ in range(leaf.size)]) for leaf in leaves if leaf.size > 1
    }
    if len(set(map(id, axis.leaves()))) == len(list(axis.leaves())):
        assert int(axis.keep(kept).sum()) == axis.count({leaf: int(mask.sum()) for leaf, mask in kept.items()})
    gone = torch.zeros(axis.size, dtype=torch.bool)
    for leaf, mask in kept.items():
        for units in axis.units(leaf):
            gone |= (units >= 0) & ~mask[units.clamp_min(0)]
    assert torch.equal(axis.keep(kept), ~gone)


def test_cutting_a_product_between_its_outer_units() -> None:
    outer, inner = Axis(4), Axis(3)
    left, right = split(product(outer, inner), 6)
    assert (left.size, right.size) == (6, 6)
    assert [leaf.size for leaf in outer.leaves()] == [2, 2]
    with pytest.raises(Mismatch):
        split(product(Axis(4), Axis(3)), 5)
