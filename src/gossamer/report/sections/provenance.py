"""Where, when and how the run was made, and the command that repeats it."""

from __future__ import annotations

from typing import Any

from gossamer import units
from gossamer.frontier.frontier import Frontier
from gossamer.report import words
from gossamer.report.markup import Markup, tag
from gossamer.report.sections.parts import section


def make(frontier: Frontier) -> Markup:
    """Returns the facts of the run as a list."""
    run, machine = frontier.run, dict(frontier.run.get("machine") or {})
    memory = machine.pop("memory_bytes", None)
    facts = {
        "Data": run.get("data"),
        "Model": run.get("model"),
        "Task": run.get("task"),
        "Seeds": ", ".join(map(str, sorted({cell["seed"] for cell in frontier.cells}))),
        "Finished": run.get("created"),
        "gossamer": run.get("gossamer"),
        **{str(key).capitalize(): value for key, value in machine.items()},
        "Memory": units.count(memory, "B") if memory else None,
        "Training": _settings(run.get("training")),
    }
    return section(
        "machine",
        "Machine, seeds, and how to repeat this",
        tag("dl", *((tag("dt", k), tag("dd", str(v))) for k, v in facts.items() if v not in (None, ""))),
        tag("p", "The same cells again, where data and model go by these names:"),
        tag("pre", tag("code", words.command(frontier)), tabindex="0", role="region", aria_label="Command"),
    )


def _settings(value: Any) -> str | None:
    """Returns settings as `key value` pairs on one line, nested ones in brackets."""
    if isinstance(value, dict):
        return ", ".join(
            f"{k} {f'({_settings(v)})' if isinstance(v, dict) else v}" for k, v in value.items() if v is not None
        )
    return None if value is None else str(value)
