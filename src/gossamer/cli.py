"""The command line: finds the command, reads its options, runs it, and turns every error into one line.

Exit codes: 0 done; 2 a wrong option, file or setting, or training that could not go on; 1 a fault of
gossamer's own; 130 stopped by Ctrl-C. With `--json` exactly one JSON object goes to standard output, all else
to standard error. Nothing heavy is imported before a command runs, so that help is there at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from gossamer.errors import GossamerError, SettingError, nearest, unknown

COMMANDS = {  # name: what `gossamer --help` says of it; the class is in gossamer.commands.<name>
    "compare": "compare many methods on one network and one data set",
    "explore": "search several settings of a method at once",
    "compress": "make one network smaller, and write it with a report",
    "stream": "learn links online, from events in the order of time",
    "export": "write a network as ONNX, as a torch.export program, or for gossamer's engine",
    "run": "run a network's .gsm file on arrays",
    "serve": "answer requests over HTTP with a network's .gsm file",
    "recipe": "write or check a recipe file, which holds a whole comparison",
    "measure": "measure what a network takes on this machine",
    "report": "make the page of a run again",
    "choose": "say which network of a run to take and why, and write it",
    "methods": "list the methods",
    "datasets": "list the data sets, and where each is",
    "bench": "time the kernels, or a network's .gsm file, against their best alternatives",
    "papers": "list the papers followed, check their claims, write the ledger",
    "doctor": "show what this installation has and lacks",
}

HELP = f"""usage: gossamer COMMAND [OPTIONS]

Makes neural networks small and fast, graph neural networks first, and shows what that cost.

commands:
{chr(10).join(f"  {name:<10}{summary}" for name, summary in COMMANDS.items())}

options:
  -h, --help     show this, or a command's options: gossamer compare --help
  --version      show the version
  --json         of every command: print the result as one JSON object

examples:
  gossamer compare --data digits-graph --model gcn --methods dense,rigl,magnitude --out runs/digits
  gossamer compress --data cora --model gcn --method rigl --sparsity 0.9 --out runs/small
"""

_WIDTH = 110  # columns where the output is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The words after `gossamer`; those of the process by default.

    Returns:
        The exit code.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # for people: without the place in the code
            _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (KeyboardInterrupt, Exception) as error:
        if os.environ.get("GOSSAMER_TRACEBACK"):
            raise
        code, message = explain(error)
        sys.stderr.write(f"gossamer: {' '.join(message.split())}\n")
        return code
    return 0


def explain(error: BaseException) -> tuple[int, str]:
    """Returns the exit code and the line that an error ends the command with."""
    match error:
        case KeyboardInterrupt():
            return 130, str(error) or "interrupted; the same command goes on from what is finished"
        case GossamerError():
            return 2, str(error)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return 2, f"{where}{error.strerror or error}; check that the path is right and the disk has room"
        case MemoryError():
            return 2, "not enough memory; take a smaller network or data set"
    kind = type(error).__name__
    return 1, f"a fault of gossamer's own, {kind}: {error}; set GOSSAMER_TRACEBACK=1 to see where"


def read(kind: type[Any], name: str, words: list[str]) -> Any:
    """Returns a command made from the words of the command line; None if they asked for help, which is shown.

    Args:
        kind: The command's class.
        name: Its name.
        words: What follows the name.

    Raises:
        SettingError: An unknown or missing option, or a value that does not read; one line says which.
    """
    if not {"-h", "--help"} & set(words):
        _check_options(kind, name, words)
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                tyro.conf.configure(tyro.conf.FlagCreatePairsOff)(kind),
                prog=f"gossamer {name}",
                description=inspect.getdoc(kind),
                args=words,
            )
    except SystemExit as stop:
        if not stop.code:
            return None
        raise SettingError(f"{name}: {_line(said.getvalue())}; see gossamer {name} --help") from None


def _run(words: list[str]) -> None:
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(HELP)
        return
    if words[0] == "--version":
        from gossamer import __version__

        sys.stdout.write(f"gossamer {__version__}\n")
        return
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        raise SettingError(unknown("command", name, COMMANDS))
    from gossamer.commands.command import Group

    kind = getattr(importlib.import_module(f"gossamer.commands.{name}"), name.capitalize())
    if isinstance(kind, Group):
        if not rest or rest[0] in {"-h", "--help"}:
            sys.stdout.write(kind.help(name))
            return
        if rest[0] not in kind.actions:
            raise SettingError(unknown(f"action of {name}", rest[0], kind.actions))
        kind, name, rest = kind.actions[rest[0]], f"{name} {rest[0]}", rest[1:]
    rest, as_json, file = _take_json(rest, to_file=getattr(kind, "json_file", False))
    command = read(kind, name, rest)
    if command is None:
        return

    from rich.console import Console

    if not as_json or file:
        result = command.run(Console(width=None if sys.stdout.isatty() else _WIDTH))
        if file:
            from gossamer.files import write_json

            write_json(file, result)
        return
    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints, standard output gets one object
        result = command.run(Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH))
    sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")


def _take_json(words: list[str], *, to_file: bool) -> tuple[list[str], bool, str | None]:
    """Returns the words without `--json`, whether it is there, and the file named after it, where one may be.

    A word with a dot or a separator in it is a file; so a command that takes one has no other words of that kind.
    """
    rest, found, file = [], False, None
    for word in words:
        if word == "--json":
            found, after = True, True
        elif found and after and to_file and {".", os.sep} & set(word) and not word.startswith("-"):
            file, after = word, False
        else:
            rest.append(word)
            after = False
    return rest, found, file


def _check_options(kind: type[Any], name: str, words: list[str]) -> None:
    """Refuses unknown and missing options, with a better hint than a parser can give."""
    fields = {
        f"--{field.name.replace('_', '-')}": field
        for field in dataclasses.fields(kind)
        if not field.metadata.get("positional")
    }
    given = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    for option in given:
        if option not in fields:
            close = nearest(option, fields)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join([*fields, '--json'])}"
            raise SettingError(f"{name}: unknown option {option}; {hint}")
    missing = [
        option for option, field in fields.items() if field.default is dataclasses.MISSING and option not in given
    ]
    if missing:
        raise SettingError(f"{name} needs {' and '.join(missing)}; see gossamer {name} --help")


def _line(box: str) -> str:
    """Returns the first paragraph of a parser's framed message on one line."""
    kept: list[str] = []
    for row in box.splitlines()[1:]:
        text = row.strip("│ ")
        if not text.strip("─╰╯"):
            break
        kept.append(text)
    message = re.sub(r"^Error parsing (--?[\w-]+): ", r"\1: ", " ".join(kept)).rstrip(".")
    return message[:1].lower() + message[1:] or "the command line does not read"


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Shows a warning as one line, without the place in the code that it came from."""
    sys.stderr.write(f"gossamer: warning: {' '.join(str(message).split())}\n")
