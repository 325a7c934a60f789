"""What a check measured, and when, where and with what: one JSON file for a paper at a scale.

A file holds the observations of every seed, so its verdicts can be worked out again; reading one does so, and
refuses a file whose verdicts are not those of its observations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gossamer.errors import FileError, GossamerError
from gossamer.files import read_json, write_json
from gossamer.papers.protocol.experiment import Pair
from gossamer.papers.protocol.judge import Judgement, judge
from gossamer.papers.protocol.paper import SCALES, Claim, Scale

_FORMAT = 1
_FIGURES = ("measured", "baseline", "effect", "spread", "p_value")
_FACTS = ("date", "seconds", "machine", "versions", "code", "settings")


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One claim with its observations, by seed; `why` says why there are none, where there are none."""

    claim: Claim
    pairs: Mapping[int, Pair]
    why: str = ""

    def judge(self) -> Judgement:
        """Returns the verdict."""
        return judge(self.claim, list(self.pairs.values()), why=self.why)

    def to_json(self, paper: str, scale: Scale) -> dict[str, Any]:
        """Returns the record of `papers check --json` and of evidence files.

        Keys: `paper`, `id`, `statement`, `scale`, `verdict`, `why`, `measured`, `baseline`, `effect`, `spread`,
        `p_value` (see `Judgement`), `seeds` (a list), `observations` ([measured, baseline] for each seed), and
        `claim`, its whole definition.
        """
        found = self.judge()
        return {
            "paper": paper,
            "id": self.claim.id,
            "statement": self.claim.statement,
            "scale": scale,
            "verdict": found.verdict,
            "why": found.why,
            "measured": found.measured,
            "baseline": found.baseline,
            "effect": found.effect,
            "spread": found.spread,
            "p_value": found.p_value,
            "seeds": list(self.pairs),
            "observations": [[pair.measured, pair.baseline] for pair in self.pairs.values()],
            "claim": self.claim.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Takes back what `to_json` returned."""
        pairs = {
            int(seed): Pair(float(measured), float(baseline))
            for seed, (measured, baseline) in zip(value["seeds"], value["observations"], strict=True)
        }
        return cls(claim=Claim.from_json(value["claim"]), pairs=pairs, why="" if pairs else str(value["why"]))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that one check of a paper at a scale found.

    Attributes:
        paper: Its id.
        scale: "smoke", "small" or "full".
        date: Of the check, as 2026-01-31.
        seconds: What its seeds took together.
        machine: As `machine.describe`.
        versions: Of gossamer, Python and the libraries.
        code: Digest of gossamer's own Python files.
        settings: Those of the experiment; empty where it has none at this scale.
        claims: One entry a claim, in the paper's order.
    """

    paper: str
    scale: Scale
    date: str
    seconds: float
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    code: str
    settings: Mapping[str, Any]
    claims: tuple[Observed, ...]

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.paper}.{self.scale}.json"

    def records(self) -> list[dict[str, Any]]:
        """Returns one record a claim; see `Observed.to_json`."""
        return [observed.to_json(self.paper, self.scale) for observed in self.claims]

    def to_json(self) -> dict[str, Any]:
        """Returns the content of an evidence file."""
        facts = {name: getattr(self, name) for name in _FACTS}
        return {"format": _FORMAT, "paper": self.paper, "scale": self.scale, **facts, "claims": self.records()}

    def save(self, folder: str | Path) -> Path:
        """Writes the evidence file into `folder`, whole or not at all; one of an earlier check is replaced."""
        return write_json(Path(folder) / self.name, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads an evidence file.

        Raises:
            FileError: Missing, not JSON, not evidence of this format, or its verdicts are not those of its
                observations.
        """
        value = read_json(path)
        if not isinstance(value, dict) or value.get("format") != _FORMAT or value.get("scale") not in SCALES:
            raise FileError(f"{path}: is not evidence of format {_FORMAT}; write one with `gossamer papers check`")
        try:
            claims = tuple(Observed.from_json(record) for record in value["claims"])
            facts = {name: value[name] for name in _FACTS}
            found = cls(paper=str(value["paper"]), scale=value["scale"], claims=claims, **facts)
        except (GossamerError, KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path}: does not read as evidence ({error}); check the paper again") from error
        if not all(map(_agree, found.records(), value["claims"])):
            raise FileError(
                f"{path}: its verdicts or means are not those of its observations; evidence is never edited, "
                f"check the paper again: gossamer papers check {found.paper} --scale {found.scale}"
            )
        return found


def _agree(derived: Mapping[str, Any], written: Mapping[str, Any]) -> bool:
    """Says whether a record is what its observations give, to the last digits of another machine's libraries."""
    if derived["verdict"] != written.get("verdict"):
        return False
    pairs = [(derived[name], written.get(name)) for name in _FIGURES]
    return all(here == there or (here and there and math.isclose(here, there, rel_tol=1e-4)) for here, there in pairs)


def load_evidence(folder: str | Path) -> list[Evidence]:
    """Returns the evidence in a folder by paper and scale, smallest scale first; none if there is no folder.

    Raises:
        FileError: As `Evidence.load`.
    """
    found = [Evidence.load(path) for path in sorted(Path(folder).glob("*.json"))]
    return sorted(found, key=lambda evidence: (evidence.paper, SCALES.index(evidence.scale)))
