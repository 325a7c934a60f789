"""A sparsity for each layer by name, as papers give them in profiles."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from gossamer.errors import ModelError
from gossamer.prune.allocation import Allocation
from gossamer.prune.selection import Groups, kept
from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class LayerSparsity(Settings):
    """The sparsity of the weights that a pattern matches."""

    layer: str = "*"  # pattern of a parameter's or its module's name, as in a shell
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)


@dataclass(frozen=True, kw_only=True)
class Profile(Allocation):
    """Each layer at the sparsity of the first pattern that matches it; the others at that of the method.

    So the sparsity of the whole is not the method's. A layer keeps at least its best group.

    >>> Profile.of({"convs.0.*": 0.95, "head": 0.5}).to_json()["layers"][1]
    {'layer': 'head', 'sparsity': 0.5}
    """

    name = "profile"
    layers: tuple[LayerSparsity, ...] = ()

    @classmethod
    def of(cls, sparsities: Mapping[str, float]) -> Self:
        """Returns the profile of a mapping from patterns to sparsities, each in [0, 1)."""
        return cls(layers=tuple(LayerSparsity(layer=layer, sparsity=value) for layer, value in sparsities.items()))

    def budgets(self, layers: Sequence[Groups], sparsity: float) -> list[int]:
        """Returns ceil((1 − sparsity) · weights) of each layer by its own sparsity, within what it can keep.

        Raises:
            ModelError: A pattern matches no layer.
        """
        for entry in self.layers:
            if not any(_matches(entry.layer, layer.name) for layer in layers):
                names = ", ".join(layer.name for layer in layers)
                raise ModelError(f"profile: no pruned weight matches {entry.layer!r}; there are: {names}")
        return [
            min(max(kept(layer.weights, self._sparsity(layer.name, sparsity)), layer.best), layer.available)
            for layer in layers
        ]

    def _sparsity(self, name: str, otherwise: float) -> float:
        return next((entry.sparsity for entry in self.layers if _matches(entry.layer, name)), otherwise)


def _matches(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.rpartition(".")[0], pattern)
