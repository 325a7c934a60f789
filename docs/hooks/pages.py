"""The pages that are made: one for each method, paper and command, and the reference of every public name."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import io
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gossamer
from gossamer.cli import COMMANDS
from gossamer.compression.registry import FAMILIES, Named, methods
from gossamer.settings import describe

Page = tuple[str, str, str]  # title, path, text
_INTERNAL = {"gossamer.cli", "gossamer.commands", "gossamer.console"}  # the command line has pages of its own


@functools.cache
def sections() -> dict[str, list[Page]]:
    """Returns the generated sections of the site, by title."""
    found = {"Methods": _methods(), "Commands": _commands()}
    papers = _papers()
    if papers:
        found["Papers"] = papers
    found["Reference"] = _reference()
    return found


def from_root(path: Path) -> str:
    """Returns a page of the repository's root with its links as the site has them."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/", "](", text)
    text = text.replace("](CONTRIBUTING.md", "](contributing.md").replace("](CHANGELOG.md", "](changes.md")
    return re.sub(r"\[([^\]]+)\]\((examples/[^)]+)\)", r"`\2`", text)


def benchmarks(results: Path) -> str:
    """Returns the page of the stored benchmarks."""
    from gossamer.bench import load
    from gossamer.bench.table import markdown

    records = load(results)
    if not records:
        return "# Benchmarks of the kernels\n\nNone is stored; `gossamer bench kernels` makes them.\n"
    return markdown(records)


# methods


def _methods() -> list[Page]:
    known = methods()
    rows = ["# Methods", "", "| method | what it does | knob | paper |", "|---|---|---|---|"]
    for name, entry in known.items():
        rows.append(f"| [{name}]({name}.md) | {entry.summary} | {entry.method.knob} | {_paper_link(entry.paper)} |")
    pages: list[Page] = [("All methods", "methods/index.md", "\n".join(rows) + "\n")]
    return pages + [(name, f"methods/{name}.md", _method(entry)) for name, entry in known.items()]


def _method(entry: Named) -> str:
    kind = type(entry.method)
    knob = f", {entry.method.knob}=0.9" if entry.method.knob == "sparsity" else ""
    lines = [
        f"# {entry.name}",
        "",
        entry.summary,
        "",
        *([f"Follows {_paper_link(entry.paper)}.", ""] if entry.paper else []),
        "```python",
        f'small = gossamer.compress(model, task, gossamer.method("{entry.name}"{knob}))',
        "```",
        "",
        _about(entry),
        "",
        "## Settings",
        "",
        "| setting | default | range |",
        "|---|---|---|",
    ]
    values = entry.method.to_json()
    for field in dataclasses.fields(entry.method):
        bounds = field.metadata.get("bounds")
        lines.append(f"| `{field.name}` | `{json.dumps(values[field.name])}` | {describe(bounds) if bounds else ''} |")
    lines += ["", f"The algorithm is [`{kind.__name__}`][{kind.__module__}.{kind.__qualname__}].", ""]
    return "\n".join(lines)


def _about(entry: Named) -> str:
    """Returns the docstring of the module that registers the method."""
    for family in FAMILIES:
        for found in pkgutil.iter_modules(importlib.import_module(family).__path__, prefix=f"{family}."):
            module = importlib.import_module(found.name)
            if any(value is entry.method for value in vars(module).values()):
                return inspect.getdoc(module) or ""
    return inspect.getdoc(type(entry.method)) or ""


# papers


def _papers() -> list[Page]:
    """Returns a page for each registered paper; none before there are papers."""
    try:
        papers: Any = importlib.import_module("gossamer.papers")
    except ModuleNotFoundError:
        return []
    return [(paper.id, f"papers/{paper.id}.md", _paper(paper)) for paper in papers.papers().values()]


def _paper(paper: Any) -> str:
    following = [name for name, entry in methods().items() if entry.paper == paper.id]
    year = f"{paper.venue}, {paper.year}" if paper.venue else str(paper.year)
    lines = [
        f"# {paper.title}",
        "",
        f"{paper.authors}. {year}." + (f" [arXiv {paper.arxiv}]({paper.link})" if paper.arxiv else ""),
        "",
        *(["Methods: " + ", ".join(f"[{name}](../methods/{name}.md)" for name in following), ""] if following else []),
        *([paper.departures, ""] if paper.departures else []),
        "## Claims",
        "",
        "| claim | the paper reports | metric | compared with |",
        "|---|---|---|---|",
    ]
    for claim in paper.claims:
        cells = (claim.statement, claim.reported, claim.metric, claim.baseline)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += [
        "",
        "What was measured here is in the [ledger](../ledger.md), and",
        f"`gossamer papers check {paper.id}` measures it again.",
        "",
    ]
    module = next(found for found in _paper_modules() if vars(found).get("PAPER") is paper)
    return "\n".join(lines) + f"\n## The experiment\n\n{inspect.getdoc(module) or ''}\n"


def _paper_modules() -> list[ModuleType]:
    papers = importlib.import_module("gossamer.papers")
    names = [found.name for found in pkgutil.iter_modules(papers.__path__, prefix="gossamer.papers.")]
    return [importlib.import_module(name) for name in names]


def _paper_link(paper: str) -> str:
    if not paper:
        return ""
    try:
        importlib.import_module("gossamer.papers")
    except ModuleNotFoundError:
        return paper
    return f"[{paper}](../papers/{paper}.md)"


# commands


def _commands() -> list[Page]:
    rows = ["# Commands", "", "| command | what it does |", "|---|---|"]
    rows += [f"| [gossamer {name}]({name}.md) | {summary} |" for name, summary in COMMANDS.items()]
    pages: list[Page] = [("All commands", "commands/index.md", "\n".join(rows) + "\n")]
    return pages + [(name, f"commands/{name}.md", _command(name)) for name in COMMANDS]


def _command(name: str) -> str:
    """Returns what `gossamer NAME --help` says."""
    import contextlib

    from gossamer.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main([name, "--help"])
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue()).rstrip()
    return f"# gossamer {name}\n\n```text\n{text}\n```\n"


# reference


def _reference() -> list[Page]:
    pages: list[Page] = []
    for module in public_modules():
        about = (inspect.getdoc(module) or "").split("\n\n")[0]
        lines = [f"# {module.__name__}", "", about, ""]
        if module is gossamer:
            lines += ["| name | defined in |", "|---|---|"]
            for name in sorted(set(gossamer.__all__) - {"__version__"}):
                home = _canonical(module, name)
                lines.append(f"| [`gossamer.{name}`][{home}] | `{home.rpartition('.')[0]}` |")
            lines.append("")
        for name in _names(module):
            lines += [_made(module, name) if _is_made(module, name) else f"::: {_canonical(module, name)}", ""]
        path = module.__name__.replace("gossamer.", "") if module is not gossamer else "gossamer"
        pages.append((module.__name__, f"reference/{path}.md", "\n".join(lines)))
    return pages


def public_modules() -> Iterator[ModuleType]:
    """Yields the modules that people import names from: those right under `gossamer`, and packages with `__all__`."""
    yield gossamer
    for found in pkgutil.walk_packages(gossamer.__path__, prefix="gossamer."):
        if any(part.startswith("_") for part in found.name.split(".")) or found.name.startswith(tuple(_INTERNAL)):
            continue
        top = found.name.count(".") == 1
        if not top and not found.ispkg:
            continue
        module = importlib.import_module(found.name)
        if hasattr(module, "__all__") or (top and not found.ispkg):
            yield module


def public_names() -> Iterator[str]:
    """Yields the canonical path of every public name that can be looked up in the sources."""
    for module in public_modules():
        for name in _names(module):
            if not _is_made(module, name):
                yield _canonical(module, name)


def _is_made(module: ModuleType, name: str) -> bool:
    """Says whether a function was made by another function, so that only running the code shows it."""
    return "<locals>" in getattr(getattr(module, name), "__qualname__", "")


def _made(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    signature = f"{name}{inspect.signature(value)}"
    return f"## {name}\n\n```python\n{signature}\n```\n\n{inspect.getdoc(value) or ''}\n"


def _names(module: ModuleType) -> list[str]:
    if module is gossamer:
        return []  # all of them are documented where they are defined; the page lists them
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not isinstance(getattr(module, name), ModuleType)]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def _canonical(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    home = getattr(value, "__module__", None)
    if isinstance(home, str) and home.startswith("gossamer") and hasattr(value, "__qualname__"):
        return f"{home}.{value.__qualname__}"
    return f"{module.__name__}.{name}"
