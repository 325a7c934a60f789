"""Random numbers that are a function of what they are for: the same ones that the native samplers draw.

A stream is named by a key (a seed and a purpose) and an item (a node, a walk). Its numbers are SplitMix64's: Steele,
Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. Since no number depends on who asked
before, samplers give the same result for every number of threads, and the references here give it too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gossamer.errors import SettingError

Array = np.ndarray[Any, Any]

_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _WORD
    return z ^ (z >> 31)


def _mix_array(z: Array) -> Array:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = z ^ (z >> np.uint64(31))
    return mixed


def stream_key(seed: int, *purpose: int) -> int:
    """Returns the key of a seed and of what it is used for, each in [0, 2^64); different ones give unrelated streams.

    Raises:
        SettingError: A number is out of range.
    """
    key = 0
    for number in (seed, *purpose):
        if not 0 <= number <= _WORD:
            raise SettingError(f"seed: found {number}, expected 0 to 2^64 - 1")
        key = _mix((key + _GOLDEN * (number + 1)) & _WORD)
    return key


class Stream:
    """The numbers of one item, one by one."""

    def __init__(self, key: int, item: int) -> None:
        self._state = _mix((key + _GOLDEN * (item + 1)) & _WORD)

    def next(self) -> int:
        """Returns 64 random bits."""
        self._state = (self._state + _GOLDEN) & _WORD
        return _mix(self._state)

    def uniform(self) -> float:
        """Returns a multiple of 2^-53 in [0, 1)."""
        return (self.next() >> 11) * 2.0**-53

    def below(self, bound: int) -> int:
        """Returns a whole number in [0, `bound`), all equally likely to within a relative 2^-53 · `bound`."""
        return int(self.uniform() * bound)


class Streams:
    """The streams of many items side by side; a draw takes one number from some of them.

    Args:
        key: As `stream_key` gives it.
        items: (n,) int64, at least 0.
    """

    def __init__(self, key: int, items: Array) -> None:
        start = np.uint64(key) + np.uint64(_GOLDEN) * (items.astype(np.uint64) + np.uint64(1))
        self._state = _mix_array(start)

    def uniform(self, which: Array) -> Array:
        """Returns one number in [0, 1), float64, from each stream of `which`, distinct indices of items."""
        self._state[which] += np.uint64(_GOLDEN)
        return (_mix_array(self._state[which]) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, which: Array, bound: Array) -> Array:
        """Returns one whole number in [0, bound), int64, from each stream of `which`; `bound` (n,) or (1,)."""
        return (self.uniform(which) * bound).astype(np.int64)
