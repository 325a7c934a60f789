"""A publication, and what it claims, in a form that can be checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from gossamer.errors import SettingError
from gossamer.papers.protocol.experiment import Experiment, Untestable
from gossamer.settings import Settings, bounded

Scale = Literal["smoke", "small", "full"]  # seconds on bundled data; minutes on small real data; the paper's setting
SCALES: tuple[Scale, ...] = get_args(Scale)

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Claim(Settings):
    """One statement of a paper about a method and a baseline.

    The effect is measured − baseline in the metric's unit, or measured / baseline for `comparison="ratio"`. What
    `direction` demands of it:

    | direction | demands |
    |---|---|
    | higher, lower | more, or less, than the baseline, by at least `margin`; `tolerance` short of it is enough |
    | equal | within ± `tolerance` of the baseline |
    | no lower, no higher | at most `tolerance` worse than the baseline |

    Raises:
        SettingError: The id is malformed, or margin and tolerance do not suit the direction.
    """

    id: str  # within the paper: lower-case words joined by hyphens
    statement: str  # what is claimed, one sentence in our own words
    reported: str  # what the paper reports, with its setting
    metric: str  # what is measured, with its unit
    baseline: str  # what it is compared with
    direction: Literal["higher", "lower", "equal", "no lower", "no higher"]
    comparison: Literal["difference", "ratio"] = "difference"
    margin: float | None = None  # the claimed effect: a signed difference, or a ratio; None: no size is claimed
    tolerance: float = bounded(0.0, ge=0.0)  # in the metric's unit; for a ratio a fraction of it

    def __post_init__(self) -> None:
        """Checks that margin and tolerance suit the direction."""
        super().__post_init__()
        if not _ID.fullmatch(self.id):
            raise SettingError(f"claim id {self.id!r} should be lower-case words joined by hyphens")
        if self.direction in ("higher", "lower"):
            neutral = 1.0 if self.comparison == "ratio" else 0.0
            above = self.direction == "higher"
            if self.margin is not None and not (self.margin > neutral if above else self.margin < neutral):
                side = "above" if above else "below"
                raise SettingError(
                    f"claim {self.id}: margin is {self.margin:g}; {self.direction} needs one {side} {neutral:g}"
                )
            if self.comparison == "ratio" and self.margin is not None and self.margin <= 0:
                raise SettingError(f"claim {self.id}: margin is {self.margin:g}; a ratio is above 0")
        elif self.margin is not None or not self.tolerance:
            raise SettingError(
                f"claim {self.id}: direction {self.direction!r} is judged by its tolerance alone; "
                "give a tolerance above 0 and no margin"
            )


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A publication, its claims, and the experiment that checks them.

    Raises:
        SettingError: The id is malformed, there is no claim, or two claims share an id.
    """

    id: str  # methods refer to it by this
    title: str
    authors: str  # surnames, separated by commas
    year: int
    venue: str = ""
    arxiv: str = ""  # its arXiv number, "" where there is none
    departures: str = ""  # what the experiment does otherwise than the paper, at every scale
    claims: tuple[Claim, ...]
    scales: Mapping[Scale, Settings | Untestable]  # the experiment's settings, or why there are none
    experiment: Experiment

    def __post_init__(self) -> None:
        """Checks ids and scales."""
        if not _ID.fullmatch(self.id):
            raise SettingError(f"paper id {self.id!r} should be lower-case words joined by hyphens")
        ids = [claim.id for claim in self.claims]
        if not ids or len(set(ids)) != len(ids):
            raise SettingError(f"paper {self.id}: claims are {ids}; expected at least one, each id once")
        if set(self.scales) != set(SCALES):
            raise SettingError(f"paper {self.id}: scales are {sorted(self.scales)}; expected {', '.join(SCALES)}")

    @property
    def link(self) -> str:
        """Where to read it, "" if it is not on arXiv."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else ""
