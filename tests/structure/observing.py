"""Observers of small networks, for tests of scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gossamer.structure import Group, GroupScore, Observer, SameRatio, groups, trace
from gossamer.structure.observer import Losses


def observer(network: nn.Module, *args: Any, losses: Losses | None = None, ratio: float = 0.5) -> Observer:
    """Returns an observer of a network that runs on some arguments."""
    return Observer(
        trace(network, args), network, args, {}, losses=losses, keep=lambda s: SameRatio().keep(s, ratio, 1), seed=0
    )


def free(found: Observer) -> list[Group]:
    """Returns the groups that may lose units."""
    return [group for group in groups(found.trace) if not group.refused]


def scored(
    score: GroupScore, network: nn.Module, *args: Any, losses: Losses | None = None, ratio: float = 0.5
) -> Mapping[str, Tensor]:
    """Returns the scores of all groups that may lose units, by name."""
    found = observer(network, *args, losses=losses, ratio=ratio)
    return {group.name: score for group, score in score.scores(free(found), found).items()}
