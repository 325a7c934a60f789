from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer import units
from gossamer.cost import Budget
from gossamer.errors import SettingError
from gossamer.frontier import Frontier
from gossamer.frontier.advice import Advice, Choice
from tests.frontier.records import RUN, cell, cells, frontier

DENSE = cells("dense", [0.80, 0.81, 0.82], 1000, latencies=[2.0, 2.1, 2.05])
SLIM = cells("slim", [0.80, 0.809, 0.822], 100, latencies=[2.5, 2.55, 2.6])
QUICK = cells("quick", [0.80, 0.811, 0.819], 400, latencies=[1.0, 1.1, 1.05])
POOR = cells("poor", [0.60, 0.61, 0.60], 50, latencies=[0.5, 0.5, 0.5])


def said(advice: Advice, question: str) -> Choice:
    (found,) = (choice for choice in advice.choices if choice.question.startswith(question))
    return found


def plain(text: str) -> str:
    return text.replace(units.TIMES, "x").replace(units.MINUS, "-")


def test_each_question_gets_the_network_that_answers_it() -> None:
    advice = frontier(DENSE, SLIM, QUICK, POOR).advice()
    best = said(advice, "Best")
    assert best.point is not None
    assert best.point.method == "slim"
    assert "81.0 ± 2.7 %" in best.text
    assert "cannot tell 2 others from it." in best.text, "no other that is smaller"
    small = said(advice, "Smallest")
    assert small.text.startswith("slim 90 % has")
    assert "100 B instead of 1 kB, 10x fewer bytes" in plain(small.text)
    assert "within the noise" in small.text
    fast = said(advice, "Fastest")
    expected = "quick 90 % takes 1.05 ms instead of 2.05 ms measured here, 2.0x faster, beyond the noise."
    assert plain(fast.text) == expected


def test_the_best_names_a_smaller_one_that_is_not_told_apart() -> None:
    advice = frontier(cells("dense", [0.83, 0.80, 0.82], 1000), cells("slim", [0.80, 0.809, 0.82], 100)).advice()
    text = said(advice, "Best").text
    assert text.startswith("dense has the best validation accuracy of 2")
    assert "cannot tell 1 other from it; the smallest is slim 90 %, 100 B instead of 1 kB." in text


def test_a_clear_lead_is_called_one() -> None:
    advice = frontier(cells("dense", [0.90, 0.91, 0.90], 1000), POOR).advice()
    assert "ahead of every other beyond the noise" in said(advice, "Best").text
    none = said(advice, "Smallest")
    assert none.point is None
    assert "none is level with dense" in none.text
    assert "The closest is poor 90 %" in none.text
    assert "beyond the noise" in none.text


def test_no_speed_up_is_claimed_that_was_not_measured() -> None:
    bare = frontier(cells("dense", [0.8, 0.8], 1000), cells("slim", [0.8, 0.8], 100)).advice()
    assert said(bare, "Fastest").text == "latency was not measured."
    assert "faster" not in "".join(choice.text for choice in bare.choices)
    slow = frontier(DENSE, SLIM).advice()
    assert said(slow, "Fastest").point is None
    assert "none that is level measured faster than dense with 2.05 ms" in said(slow, "Fastest").text
    noisy = frontier(DENSE, cells("slim", [0.80, 0.809, 0.822], 100, latencies=[1.0, 2.2, 2.0])).advice()
    assert "within the noise" in said(noisy, "Fastest").text


def test_one_seed_claims_nothing_beyond_noise() -> None:
    advice = frontier(
        cells("dense", [0.8], 1000, latencies=[2.0]), cells("slim", [0.799], 100, latencies=[1.0])
    ).advice()
    assert "With one seed it cannot be said" in said(advice, "Best").text
    assert "a difference of -0.1 points from one seed" in plain(said(advice, "Smallest").text)
    assert "one seed cannot say" in said(advice, "Fastest").text
    assert any("one seed, so nothing is known of the noise" in warning for warning in advice.warnings)
    assert "Figures are of one seed" in advice.rule
    assert "beyond the noise" not in str(advice)


def test_a_budget_is_answered_first_and_a_missed_one_names_the_nearest() -> None:
    made = frontier(DENSE, SLIM, QUICK, POOR)
    first = made.advice(Budget.parse("bytes<=500,latency_ms<=2")).choices[0]
    assert first.question == "Within stored size 500 B, latency 2 ms"
    assert first.text.startswith("quick 90 % has the best validation accuracy of the 2 that are within it")
    missed = made.advice(Budget.parse("bytes<=10")).choices[0]
    assert missed.point is None
    assert missed.text == "no network is; the nearest is poor 90 %, stored size 50 B over 10 B."
    with pytest.raises(SettingError, match="peak_memory_bytes"):
        made.advice(Budget.parse("peak_memory_bytes<=1"))


def test_budgets_that_the_comparison_ran_under_are_answered() -> None:
    budget: dict[str, Any] = {"budget": "bytes<=100"}
    made = frontier(
        DENSE,
        cells("slim", [0.8, 0.8, 0.8], 100, **budget, met_budget=True),
        cells("better", [0.9, 0.9, 0.9], 120, **budget, met_budget=False),
    ).advice()
    choice = said(made, "Made for bytes<=100")
    assert choice.text.startswith("slim bytes<=100 (sparsity 0.9) met it with every seed")
    assert any(
        w == "better bytes<=100 (sparsity 0.9) does not meet its budget with seeds 0, 1, 2." for w in made.warnings
    )
    none = frontier(DENSE, cells("slim", [0.8], 200, **budget, met_budget=False)).advice()
    assert "no method met it with every seed" in said(none, "Made for").text


def test_smaller_but_slower_names_the_layers_that_run_dense() -> None:
    layers = [
        {"name": f"convs.{i}", "sparsity": 0.9 if i else 0.0, "kernel": "csr" if i == 1 else "dense"} for i in range(6)
    ]
    slow = [one | {"layers": layers} for one in SLIM]
    (warning,) = frontier(DENSE, slow).advice().warnings
    assert plain(warning) == (
        "slim 90 % is smaller than dense but slower, 1.2x, beyond the noise; pruned layers that run dense all the "
        "same: convs.2, convs.3, convs.4 and 1 more."
    )
    assert not frontier(DENSE, QUICK).advice().warnings
    within = cells("slim", [0.80, 0.809, 0.822], 100, latencies=[1.9, 2.3, 2.1])
    assert not frontier(DENSE, within).advice().warnings


def test_what_is_missing_is_said() -> None:
    broken = [cell("bad", 0.9, seed, 0, 1) | {"status": "failed", "error": "boom", "quality": {}} for seed in range(5)]
    waiting = [cell("slim", 0.9, 7, 0.8, 100, status="trained")]
    warnings = frontier(SLIM[:2], QUICK, broken, waiting).advice().warnings
    assert warnings[0].startswith("There is no dense network in this run")
    assert "Two seeds give wide intervals: slim 90 %. Run at least 3." in warnings
    failed = "; ".join(f"bad 90 %, seed {seed} (boom)" for seed in range(3))
    assert f"5 cells failed and count nowhere: {failed} and 2 more." in warnings
    assert "1 cell trained but not measured yet; the same command again goes on." in warnings
    empty = Frontier(run=RUN).advice()
    assert empty.choices == ()
    assert empty.warnings == ("No cell has finished; look at the errors of the failed ones.",)


def test_less_is_better_turns_the_words_round() -> None:
    made = frontier(cells("dense", [0.5, 0.5, 0.5], 1000), cells("slim", [0.4, 0.41, 0.4], 100), higher_is_better=False)
    best = said(made.advice(), "Best")
    assert best.text.startswith("slim 90 % has the best")
    assert f"{units.MINUS}9.7 points" in said(made.advice(), "Smallest").text


FIGURES = st.lists(
    st.tuples(
        st.lists(st.integers(70, 80).map(lambda q: q / 100), min_size=1, max_size=4),
        st.integers(1, 9),
        st.integers(1, 9),
    ),
    min_size=2,
    max_size=5,
)


@given(FIGURES, st.booleans())
def test_every_choice_is_what_its_question_says(figures: list[tuple[list[float], int, int]], higher: bool) -> None:
    names = ["dense", *(f"m{i}" for i in range(len(figures)))]
    groups = [cells(n, q, s, latencies=[float(t)] * len(q)) for n, (q, s, t) in zip(names, figures, strict=False)]
    made = frontier(*groups, higher_is_better=higher)
    advice, points = made.advice(Budget.parse("bytes<=5")), made.points()
    best = said(advice, "Best").point
    assert best is not None
    assert all(made.gain(best) >= made.gain(p) for p in points)
    within = [p for p in points if p.cost["bytes"] <= 5]
    chosen = said(advice, "Within").point
    assert (chosen is None) == (not within)
    assert chosen is None or made.gain(chosen) == max(made.gain(p) for p in within)
    level = [p for p in made.compressed if made.level(p)]
    small, fast = said(advice, "Smallest").point, said(advice, "Fastest").point
    assert (small is None) == (not level)
    assert small is None or small.cost["bytes"] == min(p.cost["bytes"] for p in level)
    assert made.dense is not None
    quicker = [p for p in level if p.cost["latency_ms"] < made.dense.cost["latency_ms"]]
    assert (fast is None) == (not quicker)
    assert fast is None or fast.cost["latency_ms"] == min(p.cost["latency_ms"] for p in quicker)


def test_a_single_network_is_no_choice() -> None:
    assert frontier(SLIM).advice().choices == ()
