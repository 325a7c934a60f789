from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer import units

FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@given(st.floats(1e-3, 9e14))
def test_a_count_reads_back_to_three_digits(value: float) -> None:
    number, _, prefix = units.count(value).partition(" ")
    assert float(number) * FACTORS[prefix] == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "text"),
    [(999.6, "1 k"), (1e6, "1 M"), (999_949, "1 M"), (0, "0"), (-1500, "\N{MINUS SIGN}1.5 k"), (12, "12")],
)
def test_counts_at_the_edges(value: float, text: str) -> None:
    assert units.count(value) == text


@pytest.mark.parametrize(
    ("metric", "mean", "deviation", "text"),
    [
        ("accuracy", 0.8125, 0.004, "81.2 ± 0.4 %"),
        ("macro_f1", 1.0, None, "100.0 %"),
        ("auc", 0.91234, 0.001, "0.9123 ± 0.0010"),
        ("loss", -0.5, None, "\N{MINUS SIGN}0.5000"),
    ],
)
def test_quality(metric: str, mean: float, deviation: float | None, text: str) -> None:
    assert units.quality(metric, mean, deviation) == text
