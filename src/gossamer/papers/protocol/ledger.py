"""The ledger: what was claimed and what was found, as a page and as JSON, from stored evidence alone.

The same evidence gives the same bytes. A claim that does not hold stands in it like any other. Evidence must be of
the claims as they are registered now: whoever changes what a claim demands has to check it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from gossamer import units
from gossamer.errors import FileError
from gossamer.files import write_json, write_text
from gossamer.papers.protocol.evidence import Evidence
from gossamer.papers.protocol.judge import LEAST_SEEDS, LEVEL, Verdict
from gossamer.papers.protocol.paper import Claim, Paper

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_JUDGED_BY = ("metric", "baseline", "direction", "comparison", "margin", "tolerance")
_HEAD = f"""# The ledger of papers

What papers claim, and what gossamer found. Written by `gossamer papers ledger` from the files in
`docs/evidence`, never by hand. To measure anew: `gossamer papers check ID --scale small --evidence docs/evidence`.

Method and baseline train at equal budget over the same seeds. Measured and baseline are means over seeds. The effect
is their difference, or their ratio where a number is followed by "times", with its standard deviation over seeds.

- A claim **holds** when the effect is significant at {100 * LEVEL:.0f} % and of the size claimed, within the tolerance.
  The test is the paired t-test; for "equal", "no lower" and "no higher" one-sided t-tests against the tolerance. It
  takes at least {LEAST_SEEDS} seeds.
- It **holds in direction only** when the mean is on the right side and that is all that can be said.
- Else it **does not hold**, or is **not testable at this scale**, with the reason.
"""


def write_ledger(evidence: Sequence[Evidence], papers: Mapping[str, Paper], out: str | Path) -> tuple[Path, Path]:
    """Writes `ledger.md` and `ledger.json` into a folder.

    Args:
        evidence: As `load_evidence` returns it.
        papers: All that are registered; those without evidence are listed as not checked.
        out: The folder.

    Returns:
        The paths of the page and of the JSON file.

    Raises:
        FileError: Evidence is of another claim than is registered, or a file could not be written.
    """
    require_current(evidence, papers)
    out = Path(out)
    page = write_text(out / "ledger.md", markdown(evidence, papers))
    return page, write_json(out / "ledger.json", to_json(evidence, papers))


def require_current(evidence: Iterable[Evidence], papers: Mapping[str, Paper]) -> None:
    """Passes if all evidence is of the claims as they are registered.

    Raises:
        FileError: It is not; the message names the first difference.
    """
    for found in evidence:
        again = f"check it again: gossamer papers check {found.paper} --scale {found.scale}"
        if found.paper not in papers:
            raise FileError(f"{found.name}: paper {found.paper!r} is not registered; register it or delete the file")
        if found.scale == "smoke":
            raise FileError(f"{found.name}: smoke runs only show that an experiment runs; delete the file")
        now = {claim.id: claim for claim in papers[found.paper].claims}
        then = {observed.claim.id: observed.claim for observed in found.claims}
        if set(now) != set(then):
            ids = ", ".join(sorted(set(now) ^ set(then)))
            raise FileError(f"{found.name}: evidence and paper do not have the same claims ({ids}); {again}")
        for name, claim in now.items():
            for field in _JUDGED_BY:
                old, new = getattr(then[name], field), getattr(claim, field)
                if old != new:
                    raise FileError(f"{found.name}: claim {name} had {field} {old!r}, now it is {new!r}; {again}")


def counts(evidence: Iterable[Evidence]) -> dict[Verdict, int]:
    """Returns how many claims got each verdict."""
    found = Counter(record["verdict"] for one in evidence for record in one.records())
    return {verdict: found[verdict] for verdict in VERDICTS}


def to_json(evidence: Sequence[Evidence], papers: Mapping[str, Paper]) -> dict[str, Any]:
    """Returns the content of `ledger.json`: `papers`, each with its `checks`, and all `claims` in one list."""
    return {
        "format": 1,
        "verdicts": counts(evidence),
        "papers": [
            {
                "id": paper.id,
                "title": paper.title,
                "authors": paper.authors,
                "year": paper.year,
                "arxiv": paper.arxiv or None,
                "checks": [
                    {key: value for key, value in one.to_json().items() if key not in {"format", "paper", "claims"}}
                    for one in evidence
                    if one.paper == paper.id
                ],
            }
            for paper in papers.values()
        ],
        "claims": [record for one in evidence for record in one.records()],
    }


def markdown(evidence: Sequence[Evidence], papers: Mapping[str, Paper]) -> str:
    """Returns the content of `ledger.md`."""
    parts = [_HEAD, _summary(evidence)]
    for name, paper in papers.items():
        checks = [one for one in evidence if one.paper == name]
        if checks:
            parts += [_reference(paper), *(_check(one, paper) for one in checks)]
    waiting = [paper for name, paper in papers.items() if all(one.paper != name for one in evidence)]
    if waiting:
        parts += ["## Not checked yet", "\n".join(f"- `{paper.id}`: {paper.title} ({paper.year})" for paper in waiting)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _summary(evidence: Sequence[Evidence]) -> str:
    """A row for each paper and scale: how many of its claims got which verdict."""
    rows = [_row("paper", "scale", *VERDICTS), _row(*["---"] * (2 + len(VERDICTS)))]
    rows += [_row(f"[{one.paper}](#{one.paper})", one.scale, *map(str, counts([one]).values())) for one in evidence]
    return "\n".join([*rows, _row("all", "", *map(str, counts(evidence).values()))])


def _reference(paper: Paper) -> str:
    title = f"[{paper.title}]({paper.link})" if paper.link else paper.title
    lines = [f"## {paper.id}", f"{paper.authors}: {title}, {' '.join(filter(None, [paper.venue, str(paper.year)]))}."]
    return "\n\n".join([*lines, paper.departures] if paper.departures else lines)


def _check(evidence: Evidence, paper: Paper) -> str:
    """One scale: a row a claim, what each claim asks for, then settings, date and machine."""
    claims = {claim.id: claim for claim in paper.claims}
    table = [_row("claim", "measured", "baseline", "effect", "p", "verdict"), _row(*["---"] * 6)]
    asked = []
    for record in evidence.records():
        claim = claims[record["id"]]
        figures = (number(record["measured"]), number(record["baseline"]), effect(record), p_value(record))
        table.append(_row(f"`{claim.id}`", *figures, f"**{record['verdict']}**: {record['why']}"))
        asked.append(
            f"- `{claim.id}`: {claim.statement} Paper: {claim.reported} Metric: {claim.metric}, against "
            f"{claim.baseline}; {demand(claim)}."
        )
    settings = ", ".join(f"{name} {_plain(value)}" for name, value in evidence.settings.items() if name != "name")
    parts = [f"### {paper.id}, {evidence.scale}", "\n".join(table), "\n".join(asked)]
    return "\n\n".join([*parts, f"Settings: {settings}." if settings else "", _circumstances(evidence)])


def _circumstances(evidence: Evidence) -> str:
    seeds = sorted({seed for observed in evidence.claims for seed in observed.pairs})
    machine = evidence.machine
    hardware = [machine.get("processor"), machine.get("accelerator"), f"threads {machine.get('threads')}"]
    versions = [f"{name} {version}" for name, version in evidence.versions.items()]
    parts = [
        evidence.date,
        f"seeds {' '.join(map(str, seeds))}" if seeds else "no seed",
        f"{evidence.seconds:.0f} s",
        *filter(None, hardware),
        *versions,
        f"code {evidence.code}",
    ]
    return f"Measured: {', '.join(parts)}."


def demand(claim: Claim) -> str:
    """Returns what a claim asks of the effect, in words.

    >>> from gossamer.papers import Claim
    >>> words = {"id": "c", "statement": "", "reported": "", "metric": "", "baseline": ""}
    >>> demand(Claim(**words, direction="lower", comparison="ratio", margin=0.25, tolerance=0.1))
    'lower, 0.25 times, tolerance 10 %'
    """
    ratio = claim.comparison == "ratio"
    asked: list[str] = [claim.direction]
    if claim.margin is not None:
        asked.append(f"{claim.margin:.3g} times" if ratio else f"by {claim.margin:+.3g}")
    if claim.tolerance:
        asked.append(f"tolerance {f'{100 * claim.tolerance:.3g} %' if ratio else f'{claim.tolerance:.3g}'}")
    return ", ".join(asked)


def number(value: float | None) -> str:
    """Returns a figure in 4 digits, large ones in 3 and a unit, "" where there is none.

    >>> number(81.23456), number(123456789.0), number(None)
    ('81.23', '123 M', '')
    """
    return "" if value is None else units.count(value) if value >= 1e5 else f"{value:.4g}"


def effect(record: Mapping[str, Any]) -> str:
    """Returns a record's effect with its spread, "" where there is none."""
    if record["effect"] is None:
        return ""
    ratio = record["claim"]["comparison"] == "ratio"
    spread = "" if record["spread"] is None else f" ± {record['spread']:.2g}"
    return f"{record['effect']:.3g}{spread} times" if ratio else f"{record['effect']:+.3g}{spread}"


def p_value(record: Mapping[str, Any]) -> str:
    """Returns a record's p-value, a bound where it is tiny, "" where there is none."""
    value = record["p_value"]
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
