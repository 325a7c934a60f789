"""What each layer becomes, against brute force over all choices."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gossamer.factorize import SVD, Channels, LeastError, Rank, Tucker, Uniform
from gossamer.factorize.allocation import Choice, choices_of, hull


def layer_choices(seed: int, *, shape=(6, 8), how=None, per="parameter", places=(1.0, 1.0), highest=None):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()
    ways = [(one, one.tails(weight), highest or one.full(shape)) for one in (how or SVD()).alternatives()]
    return choices_of(shape, places, ways, per=per, ceiling=highest is not None)


def total(chosen: list[Choice], field: str) -> float:
    return sum(getattr(one, field) for one in chosen)


def test_a_layer_may_stay_or_take_a_rank_that_saves() -> None:
    choices = layer_choices(0)
    assert [one.weights for one in choices] == [48, 42, 28, 14]  # 14 r while that is below 48
    assert [one.ranks for one in choices] == [(), (3,), (2,), (1,)]
    assert choices[0].how is None
    errors = [one.error for one in choices]
    assert errors == sorted(errors)
    assert errors[0] == 0.0
    assert layer_choices(0, shape=(1, 8)) == [Choice(8, 8.0, 0.0)]  # nothing saves


def test_a_ceiling_takes_the_place_of_the_layer_only_where_it_saves() -> None:
    assert [one.ranks for one in layer_choices(0, highest=(2,))] == [(2,), (1,)]
    assert layer_choices(0, highest=(5,))[0].how is None


def test_choices_of_several_forms_are_merged() -> None:
    """Outputs that are alike call for fewer channels after the kernel, not before it."""
    weight = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0)).double().expand(8, 4, 3, 3)
    ways = [(one, one.tails(weight), one.full((8, 4, 3, 3))) for one in Channels().alternatives()]
    choices = choices_of((8, 4, 3, 3), (1.0, 1.0, 1.0), ways, per="parameter", ceiling=False)
    best = next(one for one in choices if one.how is not None)
    assert (best.how, best.ranks, best.weights) == (Channels(order="outputs"), (1,), 44)
    assert best.error == pytest.approx(0.0, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(seeds=st.lists(st.integers(0, 50), min_size=1, max_size=3), share=st.floats(0.05, 1.0))
def test_the_budget_is_kept_if_it_can_be_and_no_unit_is_given_up_for_nothing(seeds: list[int], share: float) -> None:
    layers = [
        layer_choices(seed, how=Tucker() if seed % 2 else None, shape=(4, 5, 2)) if seed % 2 else layer_choices(seed)
        for seed in seeds
    ]
    budget = int(share * sum(one[0].weights for one in layers))
    chosen = LeastError().choose(layers, budget)
    least = sum(min(one.weights for one in choices) for choices in layers)
    assert total(chosen, "weights") <= max(budget, least)
    everything = list(itertools.product(*layers))
    within = [total(list(some), "error") for some in everything if total(list(some), "weights") <= budget]
    assume(within)
    # The greedy solution is the best but for the last step: it loses no more than one layer's step beyond it.
    largest_step = max(b.error - a.error for one in layers for a, b in itertools.pairwise(hull(one)) or [(one[0],) * 2])
    assert total(chosen, "error") <= min(within) + largest_step + 1e-9
    for one, choices in zip(chosen, layers, strict=True):
        assert one in choices


def test_it_is_the_best_of_all_where_the_last_step_fits() -> None:
    layers = [layer_choices(seed) for seed in (1, 2, 3)]
    steps = sorted({sum(one.weights for one in LeastError().choose(layers, budget)) for budget in range(42, 145)})
    for budget in steps:
        chosen = LeastError().choose(layers, budget)
        if not all(one in hull(choices) for one, choices in zip(chosen, layers, strict=True)):
            continue
        best = min(
            total(list(some), "error")
            for some in itertools.product(*layers)
            if total(list(some), "weights") <= total(chosen, "weights")
        )
        assert total(chosen, "error") == pytest.approx(best)


def test_arithmetic_may_be_what_is_saved() -> None:
    """Two layers alike but for where they work: the one with many places gives up rank first."""
    often = layer_choices(1, places=(100.0, 100.0), per="mac")
    seldom = layer_choices(1, places=(1.0, 1.0), per="mac")
    chosen = LeastError(per="mac").choose([seldom, often], 96 - 10)
    assert chosen[0].how is None
    assert chosen[1].how == SVD()
    assert often[1].cost == 100 * often[1].weights


def test_uniform_gives_every_layer_the_same_share() -> None:
    layers = [layer_choices(seed) for seed in (1, 2)]
    assert [one.ranks for one in Uniform().choose(layers, 60)] == [(2,), (2,)]
    assert [one.ranks for one in Uniform().choose(layers, 96)] == [(), ()]
    assert [one.ranks for one in Uniform().choose(layers, 2)] == [(1,), (1,)]  # as low as it goes


def test_ceilings() -> None:
    from gossamer.factorize import VBMF, Energy, Fraction

    weight = torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.1])).double()
    tails = SVD().tails(weight)  # of 14.01: 5.01, 1.01, 0.01, 0
    assert Energy(keep=0.6).ranks(SVD(), weight, tails) == (1,)
    assert Energy(keep=0.65).ranks(SVD(), weight, tails) == (2,)
    assert Energy(keep=0.99).ranks(SVD(), weight, tails) == (3,)
    assert Energy(keep=1.0).ranks(SVD(), weight, tails) == (4,)
    assert Rank(most=3).ranks(SVD(), weight, tails) == (3,)
    assert Rank(most=9).ranks(SVD(), weight, tails) == (4,)
    assert Fraction(of_full=0.3).ranks(SVD(), weight, tails) == (2,)
    kernel = torch.randn(12, 9, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    assert Rank(most=5).ranks(Tucker(), kernel, Tucker().tails(kernel)) == (5, 5)
    assert VBMF().ranks(Tucker(), kernel, Tucker().tails(kernel)) == (1, 1)  # nothing but noise
    planted = kernel * 1e-3 + torch.einsum(
        "na,cb,abhw->nchw", kernel[:, :4, 0, 0], kernel[:9, :3, 1, 1], kernel[:4, :3]
    )
    assert VBMF().ranks(Tucker(), planted, Tucker().tails(planted)) == (3, 4)
