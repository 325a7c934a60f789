"""Writes numbers as people read them: three significant digits and a unit."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
MISSING = "\N{EM DASH}"


def count(value: float, unit: str = "") -> str:
    """Returns a number with three significant digits and a decimal prefix.

    >>> count(92231), count(1_500_000, "B"), count(7), count(0)
    ('92.2 k', '1.5 MB', '7', '0')
    """
    size = abs(value)
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= factor * 0.9995:
            return f"{significant(value / factor)} {prefix}{unit}"
    return f"{significant(value)} {unit}".rstrip()


def milliseconds(value: float) -> str:
    """Returns a duration given in milliseconds.

    >>> milliseconds(0.0421), milliseconds(12.34), milliseconds(2500)
    ('42.1 µs', '12.3 ms', '2.5 s')
    """
    if abs(value) < 0.9995:
        return f"{significant(value * 1e3)} µs"
    return f"{significant(value)} ms" if abs(value) < 999.5 else f"{significant(value / 1e3)} s"


def significant(value: float, digits: int = 3) -> str:
    """Returns a number with this many significant digits and no exponent.

    >>> significant(3.14159), significant(99.96), significant(-0.5), significant(0)
    ('3.14', '100', '−0.5', '0')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", MINUS)


def percent(fraction: float) -> str:
    """Returns a fraction as a percentage, precise enough that 0.98 and 0.995 differ.

    >>> percent(0.9), percent(0.995), percent(0.12345)
    ('90 %', '99.5 %', '12.3 %')
    """
    return f"{significant(fraction * 100)} %"


def factor(ratio: float) -> str:
    """Returns how many times, for example `9.1×`.

    >>> factor(9.12), factor(1.004), factor(12.7), factor(0.024)
    ('9.1×', '1.0×', '13×', '0.024×')
    """
    return (f"{ratio:.1f}" if 0.95 <= ratio < 9.95 else significant(ratio, 2)) + TIMES


def is_percentage(metric: str) -> bool:
    """Says whether a metric is a fraction that people read in percent."""
    return any(word in metric.lower() for word in ("accuracy", "f1", "hits", "recall", "precision"))


def quality(metric: str, mean: float, deviation: float | None = None, *, signed: bool = False) -> str:
    """Returns a metric's value, with its spread over seeds where there is one.

    >>> quality("accuracy", 0.8123, 0.0041), quality("auc", 0.91234), quality("accuracy", -0.003, signed=True)
    ('81.2 ± 0.4 %', '0.9123', '−0.3 %')
    """
    scale, decimals, unit = (100.0, 1, " %") if is_percentage(metric) else (1.0, 4, "")
    text = f"{mean * scale:{'+' if signed else ''}.{decimals}f}".replace("-", MINUS)
    if deviation is not None:
        text += f" ± {deviation * scale:.{decimals}f}"
    return text + unit


def difference(metric: str, mean: float, low: float | None = None, high: float | None = None) -> str:
    """Returns a difference of two values of a metric, with the ends of its 95 % interval where there is one.

    >>> difference("accuracy", -0.003, -0.0111, 0.005), difference("auc", 0.0123)
    ('−0.3 points (95 % interval −1.1 to +0.5)', '+0.0123')
    """
    scale, decimals, unit = (100.0, 1, " points") if is_percentage(metric) else (1.0, 4, "")

    def write(value: float) -> str:
        return f"{value * scale + 0.0:+.{decimals}f}".replace("-", MINUS)

    ends = "" if low is None or high is None else f" (95 % interval {write(low)} to {write(high)})"
    return write(mean) + unit + ends
