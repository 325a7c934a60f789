"""What a command is, and the types of its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from tyro.conf import arg
from tyro.constructors import PrimitiveConstructorSpec

from gossamer.errors import SettingError

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")


class Command(Protocol):
    """A frozen dataclass whose fields are options; `--json` is added to each."""

    def run(self, console: Console) -> dict[str, Any]:
        """Does the work, shows people the result on `console`, and returns it as a JSON object.

        Raises:
            GossamerError: Its message, one line, is all that the user sees.
        """
        ...


@dataclass(frozen=True)
class Group:
    """A command of several actions, each a command of its own, as in `gossamer papers check`.

    Attributes:
        summary: What the actions are about, one sentence.
        actions: Their classes by name; the first line of a docstring says what one does.
        examples: Whole command lines.
    """

    summary: str
    actions: Mapping[str, type[Command]]
    examples: tuple[str, ...]

    def help(self, name: str) -> str:
        """Returns the help of the command of this name."""
        rows = [f"  {action:<10}{(kind.__doc__ or '').splitlines()[0]}" for action, kind in self.actions.items()]
        lines = [f"usage: gossamer {name} ACTION [OPTIONS]", "", self.summary, "", "actions:", *rows]
        lines += ["", "Examples:", *(f"  {example}" for example in self.examples)]
        lines += ["", f"The options of an action: gossamer {name} {next(iter(self.actions))} --help"]
        return "\n".join(lines) + "\n"


def option(metavar: str, parse: Callable[[str], T], write: Callable[[T], str] = str) -> PrimitiveConstructorSpec[T]:
    """Returns how one word of the command line becomes a value; `parse` raises `ValueError` with a reason."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: parse(words[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [write(value)],
    )


def numbers(kind: Callable[[str], T], what: str) -> Callable[[str], tuple[T, ...]]:
    """Returns a parser of comma-separated numbers.

    >>> numbers(float, "numbers")("0.5, 0.9")
    (0.5, 0.9)
    """

    def parse(text: str) -> tuple[T, ...]:
        return tuple(number(kind, what)(part.strip()) for part in text.split(",") if part.strip())

    return parse


def number(kind: Callable[[str], T], what: str) -> Callable[[str], T]:
    """Returns a parser of one number that says what it expected.

    >>> number(int, "a whole number")("7")
    7
    """

    def parse(text: str) -> T:
        try:
            return kind(text)
        except ValueError:
            raise SettingError(f"{text!r} is not {what}") from None

    return parse


def _listed(values: tuple[Any, ...] | None) -> str:
    return "" if values is None else ",".join(map(str, values))


Fractions = Annotated[tuple[float, ...], option("A,B,...", numbers(float, "a number, as in 0.5,0.9"), _listed)]
MaybeColumns = Annotated[
    tuple[str, ...] | None,
    option("NAME,NAME,...", lambda text: tuple(part.strip() for part in text.split(","))),
    arg(help_behavior_hint=""),
]
Seeds = Annotated[tuple[int, ...], option("A,B,...", numbers(int, "a whole number, as in 0,1,2"), _listed)]
Whole = Annotated[int, option("N", number(int, "a whole number"), str)]
MaybeWhole = Annotated[int | None, option("N", number(int, "a whole number")), arg(help_behavior_hint="")]
MaybeNumber = Annotated[float | None, option("X", number(float, "a number")), arg(help_behavior_hint="")]
MaybeThreads = Annotated[
    tuple[int, ...] | None,
    option("A,B,...", numbers(int, "a whole number, as in 1,2"), _listed),
    arg(help_behavior_hint=""),
]
MaybePath = Annotated[Path | None, option("PATH", Path), arg(help_behavior_hint="")]
MaybeText = Annotated[str | None, option("TEXT", str), arg(help_behavior_hint="")]
