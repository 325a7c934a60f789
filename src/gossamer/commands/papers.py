"""`gossamer papers`: what is claimed, by which method, and whether it holds here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from tyro.conf import Positional, arg

from gossamer.commands.command import Group, MaybePath, MaybeWhole, Whole
from gossamer.errors import FileError, GossamerError, SettingError, TrainingError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from gossamer.papers import Paper

_PUBLISHED = Path("docs/evidence")
_SHORT = {
    "holds": "holds",
    "holds in direction only": "direction only",
    "does not hold": "does not hold",
    "not testable at this scale": "not testable",
}


@dataclass(frozen=True, kw_only=True)
class List:
    """Lists the papers, the methods that follow each, and the verdicts on their claims.

    Examples:
      gossamer papers list
      gossamer papers list --evidence my/evidence
    """

    evidence: Path = _PUBLISHED  # folder of stored evidence

    def run(self, console: Console) -> dict[str, Any]:
        """Prints the table and returns `{"papers": [...]}`."""
        from rich.text import Text

        from gossamer.papers import load_evidence, papers
        from gossamer.papers.protocol.ledger import counts

        found, followed = load_evidence(self.evidence), _followers()
        table = _table("paper", "title", "methods", "verdicts", whole=("paper",))
        told = []
        for paper in papers().values():
            checks = [one for one in found if one.paper == paper.id]
            verdicts = {one.scale: counts([one]) for one in checks}
            words = [
                f"{scale}: " + ", ".join(f"{count} {_SHORT[verdict]}" for verdict, count in tally.items() if count)
                for scale, tally in verdicts.items()
            ]
            methods = followed.get(paper.id, [])
            title = Text(f"{paper.title} ({paper.year})")
            table.add_row(paper.id, title, ", ".join(methods), "; ".join(words) or "no evidence")
            told.append(_reference(paper) | {"methods": methods, "verdicts": verdicts})
        console.print(table)
        console.print("gossamer papers show ID tells what a paper claims", highlight=False)
        return {"papers": told}


@dataclass(frozen=True, kw_only=True)
class Show:
    """Shows what one paper claims, how that is checked, and what was found.

    Examples:
      gossamer papers show gnn-sparsification
    """

    paper: Annotated[str, Positional, arg(metavar="ID", help="as `gossamer papers list` has it")] = field(
        metadata={"positional": True}
    )
    evidence: Path = _PUBLISHED  # folder of stored evidence

    def run(self, console: Console) -> dict[str, Any]:
        """Prints the paper and returns it."""
        from gossamer.papers import Untestable, load_evidence, paper
        from gossamer.papers.protocol.ledger import demand

        one, methods = paper(self.paper), _followers().get(self.paper, [])
        checks = [found for found in load_evidence(self.evidence) if found.paper == one.id]
        lines = [one.title, " ".join(filter(None, [f"{one.authors},", one.venue, str(one.year), one.link]))]
        lines += [f"Methods: {', '.join(methods)}"] if methods else []
        lines += [f"Here: {one.departures}"] if one.departures else []
        for claim in one.claims:
            lines += ["", f"{claim.id}: {claim.statement}", f"  reported: {claim.reported}"]
            lines += [f"  measured: {claim.metric}, against {claim.baseline}", f"  asked: {demand(claim)}"]
            for check in checks:
                lines += [
                    f"  {check.scale}: {record['verdict']} ({record['why']})"
                    for record in check.records()
                    if record["id"] == claim.id
                ]
        scales = {
            scale: str(setup) if isinstance(setup, Untestable) else setup.to_json()
            for scale, setup in one.scales.items()
        }
        lines += ["", *(f"{scale}: {_words(setup)}" for scale, setup in scales.items())]
        console.print("\n".join(lines), markup=False, highlight=False)
        return _reference(one) | {
            "departures": one.departures,
            "methods": methods,
            "claims": [claim.to_json() for claim in one.claims],
            "scales": scales,
            "checks": [check.to_json() for check in checks],
        }


@dataclass(frozen=True, kw_only=True)
class Check:
    """Runs the experiments of papers and says which of their claims hold here.

    Method and baseline run at equal budget, once a seed. Every finished seed is on disk before the next starts:
    the same command again goes on where it stopped, with more seeds it runs the new ones. A verdict takes at
    least 3 seeds. `--json FILE` writes the result to a file, `--json` alone to standard output.

    Examples:
      gossamer papers check gnn-sparsification --scale small --seeds 5
      gossamer papers check --all --scale smoke --json verdicts.json
    """

    json_file: ClassVar[bool] = True

    papers: Annotated[tuple[str, ...], Positional, arg(metavar="ID", help="papers to check", help_behavior_hint="")] = (
        field(default=(), metadata={"positional": True})
    )
    all: bool = False  # check every paper
    scale: Literal["smoke", "small", "full"] = "small"  # seconds, minutes, or the paper's own setting
    seeds: Whole = 5  # how many
    out: MaybePath = None  # folder of the observations (default: papers in the cache)
    evidence: MaybePath = None  # also store what was found in this folder, for the ledger: docs/evidence
    threads: MaybeWhole = None  # of every product (default: PyTorch's own); small networks are fastest with 1

    def run(self, console: Console) -> dict[str, Any]:
        """Checks one paper after the other, prints the verdicts and returns `{"claims": [...]}`."""
        from rich.text import Text

        from gossamer.commands import inputs
        from gossamer.papers import check, paper, papers
        from gossamer.papers.protocol import ledger

        if bool(self.papers) == self.all:
            raise SettingError("papers check: name the papers to check, or say --all; `gossamer papers list` has them")
        if self.evidence and self.scale == "smoke":
            raise SettingError("smoke checks only show that an experiment runs; evidence is of --scale small or full")
        chosen = list(papers().values()) if self.all else [paper(name) for name in dict.fromkeys(self.papers)]
        if self.seeds < 1:
            raise SettingError(f"--seeds is {self.seeds}; expected at least 1, and 3 for a verdict")
        for folder in filter(None, (self.out, self.evidence)):
            inputs.check_folder(folder)
        inputs.use_threads(self.threads)
        claims: list[dict[str, Any]] = []
        failed: list[str] = []
        table = _table("claim", "measured", "baseline", "effect", "p", "verdict", whole=("measured", "baseline", "p"))
        for one in chosen:
            try:
                found = check(one, self.scale, seeds=self.seeds, out=self.out)
            except (GossamerError, RuntimeError, MemoryError) as error:
                if len(chosen) == 1:
                    raise
                failed.append(f"{one.id}: {error}")
                continue
            if self.evidence:
                found.save(self.evidence)
            for record in found.records():
                figures = (ledger.number(record["measured"]), ledger.number(record["baseline"]))
                verdict = f"{record['verdict']}: {record['why']}"
                name = f"{one.id} {record['id']}" if len(chosen) > 1 else record["id"]
                table.add_row(name, *figures, ledger.effect(record), ledger.p_value(record), Text(verdict))
            claims += found.records()
        console.print(table)
        if failed:
            raise TrainingError(f"{len(failed)} of {len(chosen)} checks failed, the first: {failed[0]}")
        return {"scale": self.scale, "claims": claims}


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Writes ledger.md and ledger.json from stored evidence.

    Examples:
      gossamer papers ledger
      gossamer papers ledger --evidence my/evidence --out my
    """

    evidence: Path = _PUBLISHED  # folder of stored evidence
    out: Path = Path("docs")  # where the ledger goes

    def run(self, console: Console) -> dict[str, Any]:
        """Writes both files and returns their paths with the verdicts' counts."""
        from gossamer.papers import load_evidence, papers, write_ledger
        from gossamer.papers.protocol import ledger

        found = load_evidence(self.evidence)
        if not found:
            raise FileError(
                f"{self.evidence}: holds no evidence; store some with "
                f"`gossamer papers check ID --evidence {self.evidence}`, or name its folder with --evidence"
            )
        page, data = write_ledger(found, papers(), self.out)
        counts = ledger.counts(found)
        console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()), highlight=False)
        console.print(f"Ledger: {page}", markup=False, highlight=False, soft_wrap=True)
        return {"ledger": str(page), "json": str(data), "verdicts": counts}


def _followers() -> dict[str, list[str]]:
    """Returns the names of the methods that follow each paper."""
    from gossamer.compression import methods

    found: dict[str, list[str]] = {}
    for name, entry in methods().items():
        if entry.paper:
            found.setdefault(entry.paper, []).append(name)
    return found


def _reference(paper: Paper) -> dict[str, Any]:
    return {
        "id": paper.id,
        "title": paper.title,
        "authors": paper.authors,
        "venue": paper.venue or None,
        "year": paper.year,
        "arxiv": paper.arxiv or None,
    }


def _words(setup: Mapping[str, Any] | str) -> str:
    """Returns the settings of a scale, or why there are none, on one line."""
    return setup if isinstance(setup, str) else ", ".join(f"{key} = {value}" for key, value in setup.items())


def _table(*titles: str, whole: Iterable[str]) -> Table:
    """Returns an empty table; the columns in `whole` are never broken."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title in whole)
    return table


Papers = Group(
    summary="Papers that gossamer follows: what each claims, and whether that holds here.",
    actions={"list": List, "show": Show, "check": Check, "ledger": Ledger},
    examples=(
        "gossamer papers list",
        "gossamer papers show gnn-sparsification",
        "gossamer papers check gnn-sparsification --scale small --seeds 5 --json verdicts.json",
        "gossamer papers ledger",
    ),
)
