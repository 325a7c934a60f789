"""Efficiency of parameters, worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest

from gossamer.errors import SettingError
from gossamer.frontier import (
    Estimate,
    Point,
    compression_rate,
    halvings_per_nonzero,
    per_nonzero,
    per_stored_word,
    space_saving,
    speed_up,
)

POINT = Point(
    method="rigl",
    sparsity=0.9,
    test=Estimate(values=(0.8, 0.95), seeds=(0, 1)),
    val=Estimate(values=(0.5, 0.5), seeds=(0, 1)),
    costs={
        "nonzeros": Estimate(values=(2000.0, 1000.0), seeds=(1, 0), counted=True),
        "bytes": Estimate(values=(8000.0, 4000.0), seeds=(0, 1), counted=True),
    },
    cells=(),
)


def test_quality_per_parameter_and_per_word_seed_by_seed() -> None:
    found = per_nonzero(POINT)
    assert found is not None
    assert found.values == pytest.approx((800.0, 475.0))
    assert found.seeds == (0, 1)
    words = per_stored_word(POINT)
    assert words is not None
    assert words.values == pytest.approx((400.0, 950.0))
    assert per_nonzero(dataclasses.replace(POINT, costs={})) is None


def test_halvings_of_the_error() -> None:
    found = halvings_per_nonzero(POINT, chance=0.2, examples=100)
    assert found is not None
    assert found.values == pytest.approx((2.0 * 1000, 4.0 * 500))
    perfect = dataclasses.replace(POINT, test=Estimate(values=(1.0,), seeds=(0,)))
    found = halvings_per_nonzero(perfect, chance=0.0, examples=4)
    assert found is not None
    assert found.values == pytest.approx((math.log2(8) * 1000,))
    with pytest.raises(SettingError, match="chance is 1"):
        halvings_per_nonzero(POINT, chance=1.0, examples=4)


def test_compression_saving_and_speed_up_against_the_dense_network() -> None:
    sizes = Estimate(values=(10_000.0, 10_000.0, 10_000.0), seeds=(2, 1, 0), counted=True)
    dense = dataclasses.replace(POINT, costs={"nonzeros": sizes, "latency_ms": Estimate(values=(3.0,), seeds=(1,))})
    rate = compression_rate(POINT, dense)
    assert rate is not None
    assert (rate.values, rate.seeds) == ((5.0, 10.0), (1, 0))
    saving, printed = space_saving(POINT, dense), space_saving(POINT, dense, index=True)
    assert saving is not None
    assert printed is not None
    assert saving.values == pytest.approx((0.8, 0.9))
    assert printed.values == pytest.approx((4.0, 9.0))  # the rate less one
    assert speed_up(POINT, dense) is None  # not measured
    quick = dataclasses.replace(POINT, costs={"latency_ms": Estimate(values=(2.0, 1.5), seeds=(0, 1))})
    times = speed_up(quick, dense)
    assert times is not None
    assert (times.values, times.seeds) == ((2.0,), (1,))
    assert compression_rate(POINT, dense, "bytes") is None
