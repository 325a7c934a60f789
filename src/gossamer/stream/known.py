"""A growing set of directed pairs, and pairs drawn that are not in it.

Two sorted arrays, a long one and a short one of what came last, which is merged into the long one when it reaches an
eighth of it: so a new pair costs a logarithm of copying on average, and a question two bisections.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_TRIES = 50  # draws of a pair; after so many misses nearly all pairs are known
_SHIFT = 32


class KnownPairs:
    """Pairs (source, target) of nodes below 2^31."""

    def __init__(self) -> None:
        self._long: Array = np.empty(0, dtype=np.int64)
        self._short: Array = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        """How many different pairs are known."""
        return len(self._long) + len(self._short)

    def add(self, source: Array, target: Array) -> None:
        """Adds pairs, (n,) int64 each; those that are known stay once."""
        keys = np.unique(source << _SHIFT | target)
        self._short = np.union1d(self._short, keys[~_among(keys, self._long)])
        if 8 * len(self._short) > len(self._long):
            self._long, self._short = np.union1d(self._long, self._short), self._short[:0]

    def contains(self, source: Array, target: Array) -> Array:
        """Says of each pair whether it is known, (n,) bool."""
        keys = source << _SHIFT | target
        known: Array = _among(keys, self._long) | _among(keys, self._short)
        return known

    def draw_others(self, sources: Array, nodes: int, random: np.random.Generator) -> tuple[Array, Array]:
        """Draws a pair for each source that is not known: as likely with that source as with another.

        A source of which (nearly) every pair is known gets a pair of another.

        Args:
            sources: (n,) int64 below `nodes`.
            nodes: Ends are drawn below this.
            random: What draws.

        Returns:
            Sources and targets, (m,) each; m is below n only where nearly every pair is known.
        """
        left, right = sources.copy(), random.integers(nodes, size=len(sources))
        apart = random.random(len(sources)) < 0.5
        left[apart] = random.integers(nodes, size=int(apart.sum()))
        wrong = np.flatnonzero(self.contains(left, right))
        for attempt in range(_TRIES):
            if not len(wrong):
                return left, right
            if attempt == _TRIES // 2:  # perhaps every pair of that source is known
                apart[wrong] = True
            left[wrong] = np.where(apart[wrong], random.integers(nodes, size=len(wrong)), left[wrong])
            right[wrong] = random.integers(nodes, size=len(wrong))
            wrong = wrong[self.contains(left[wrong], right[wrong])]
        kept = np.ones(len(left), dtype=bool)
        kept[wrong] = False
        return left[kept], right[kept]


def _among(keys: Array, known: Array) -> Array:
    """Says of each key whether it is in a sorted array."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: Array = known[place] == keys
    return found
