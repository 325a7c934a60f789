"""Removes links at random, each with the same chance: the baseline of every sparsifier, and one step of DropEdge."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gossamer.graph.links import Links
from gossamer.graph.sparsify.sparsifier import Chosen, Sparsifier, highest, kept


@dataclass(frozen=True, kw_only=True)
class RandomEdges(Sparsifier):
    """Exactly the number of links asked for, every set of them as likely as any other."""

    name = "random"

    def choose(self, links: Links, removed: float, *, seed: int) -> Chosen:
        """Draws without replacement."""
        return Chosen(
            highest(torch.zeros(len(links), device=links.source.device), kept(len(links), removed), seed=seed)
        )
