"""Finds an object of the user's own code by a reference: `package.module:factory` or `path/to/file.py:factory`.

Arguments may follow, as those of a network of the zoo do: `own_model.py:Net[hidden=64]`. A reference is a few words
and a folder, so it goes to another process as it is and is resolved anew there. What it names is imported with the
reference's folder (for a file, the file's) in front of `sys.path`, as `python -m` does.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from gossamer.errors import GossamerError, SettingError, UserCodeError, nearest
from gossamer.naming import parse_settings

_OWN = str(Path(__file__).parent)


def is_reference(text: str) -> bool:
    """Says whether a text is written as a reference is: with a colon before any bracket.

    >>> is_reference("own_model.py:Net[hidden=64]"), is_reference("gcn[hidden=64]")
    (True, False)
    """
    return ":" in text.partition("[")[0]


def resolve(text: str) -> Any:
    """Returns the object that a reference names; see `Reference.resolve`."""
    return Reference.parse(text).resolve()


def task_of(data: str | None, task: str | None) -> tuple[Reference | None, str | None]:
    """Returns the task of the user's own that a text names, or what kind of task is made of the data.

    Args:
        data: Where the data are; None where the task brings its own.
        task: `module:factory` or `file.py:factory` without data, a kind such as `temporal-link` with data, or None.

    Raises:
        SettingError: It does not read so, or both bring data.
    """
    if task is None or (data is not None and not is_reference(task)):
        return None, task
    if data is not None:
        raise SettingError("data and task exclude each other where the task is your own; give one of them")
    return Reference.parse(task), None


@dataclass(frozen=True)
class Reference:
    """Where an object is, and what to call it with.

    Attributes:
        place: A module's dotted name, or the path of a Python file.
        attribute: The object's name in it; dots lead further, as in `Net.small`.
        arguments: Keyword arguments of the call.
        folder: What imports and relative paths start from, absolute.
    """

    place: str
    attribute: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""

    @classmethod
    def parse(cls, text: str, *, folder: str | Path = ".") -> Self:
        """Reads `place:attribute` with optional `[key=value,...]`; values are JSON where they parse as such.

        Args:
            text: What to read.
            folder: What imports and relative paths start from.

        Raises:
            SettingError: It does not read so.

        >>> Reference.parse("models.py:Net[hidden=64]").arguments
        {'hidden': 64}
        """
        head, bracket, rest = text.strip().partition("[")
        place, colon, attribute = (part.strip() for part in head.rpartition(":"))
        if not (colon and place and all(part.isidentifier() for part in attribute.split("."))) or (
            bracket and not rest.endswith("]")
        ):
            raise SettingError(
                f"{text!r} does not read as package.module:factory or path/to/file.py:factory, "
                "optionally with [KEY=VALUE,...]"
            )
        return cls(place, attribute, parse_settings(rest[:-1], of=text), str(Path(folder).absolute()))

    def __str__(self) -> str:
        return f"{self.place}:{self.attribute}"

    @property
    def file(self) -> Path | None:
        """The Python file that is named, absolute; None where a module is."""
        return Path(os.path.normpath(Path(self.folder, self.place))) if self.place.endswith(".py") else None

    def resolve(self) -> Any:
        """Imports the module or file and returns the object.

        Raises:
            SettingError: There is no such file, module or attribute; the nearest name is given.
            UserCodeError: Importing it raised an error; its kind, message and place are given.
        """
        module = self._module()
        found: Any = module
        for part in self.attribute.split("."):
            if not hasattr(found, part):
                close = nearest(part, [name for name in dir(found) if not name.startswith("_")])
                hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "is the name right?"
                raise SettingError(f"{self}: {self.place} has no attribute {part!r}; {hint}")
            found = getattr(found, part)
        return found

    def call(self, **offered: Any) -> Any:
        """Calls the object with its arguments, and with what is offered where it asks for that.

        Of what is offered, a parameter of the same name gets it, and so does the only parameter without a default
        of a function, whatever its name.

        Raises:
            SettingError: It cannot be called, or does not take the arguments; its parameters are named.
            UserCodeError: It raised an error; its kind, message and place are given.
        """
        function = self.resolve()
        if not callable(function):
            raise SettingError(
                f"{self} is {_kind(function)}, which cannot be called; name a function or a class that makes it"
            )
        arguments = dict(self.arguments) | self._taken(function, offered)
        try:
            return function(**arguments)
        except (Exception, SystemExit) as error:
            raise self._raised("calling it", error) from error

    def _taken(self, function: Any, offered: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those of the offered arguments that the function asks for, by the names of its parameters."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except (ValueError, TypeError):  # of a few built-in callables nothing is known
            return {}
        free = any(one.kind is one.VAR_KEYWORD for one in parameters)
        named = {one.name: one for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
        for name in self.arguments:
            if name not in named and not free:
                close = nearest(name, named)
                hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(named) or 'none'}"
                raise SettingError(f"{self}: unknown argument {name!r}; {hint}")
        taken = {name: value for name, value in offered.items() if name in named and name not in self.arguments}
        missing = [
            name
            for name, one in named.items()
            if one.default is one.empty and name not in self.arguments and name not in taken
        ]
        if len(missing) == 1 and len(offered) == 1 and not taken and not inspect.isclass(function):
            return {missing[0]: next(iter(offered.values()))}
        if missing:
            values = ",".join(f"{name}=..." for name in missing)
            raise SettingError(f"{self} needs {' and '.join(missing)}; give them in brackets, as in '{self}[{values}]'")
        return taken

    def _module(self) -> ModuleType:
        file = self.file
        if file is None:
            return self._import(self.place, Path(self.folder))
        if not file.is_file():
            close = nearest(file.name, [path.name for path in file.parent.glob("*.py")]) if file.parent.is_dir() else []
            hint = f"did you mean {close[0]}?" if close else "check the path"
            raise SettingError(f"{self}: there is no file {file}; {hint}")
        _look_in(file.parent)
        if file.stem.isidentifier() and file.stem not in sys.stdlib_module_names and _finds(file):
            return self._import(file.stem, file.parent)
        return self._load(file)

    def _import(self, name: str, folder: Path) -> ModuleType:
        _look_in(folder)
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise self._raised("importing it", error) from error
            near = folder.joinpath(*error.name.split(".")[:-1])
            known = [path.stem for path in near.glob("*") if path.suffix == ".py" or (path / "__init__.py").exists()]
            close = nearest(error.name.rpartition(".")[2], known)
            hint = f"did you mean {close[0]!r}?" if close else f"looked in {folder} and among what is installed"
            raise SettingError(f"{self}: there is no module {error.name!r}; {hint}") from None
        except (Exception, SystemExit) as error:
            raise self._raised("importing it", error) from error

    def _load(self, file: Path) -> ModuleType:
        """Loads a file whose own name is taken, under a name that no other module has."""
        name = f"{file.stem} ({file})"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise self._raised("importing it", error) from error
        return module

    def _raised(self, doing: str, error: BaseException) -> UserCodeError:
        """Returns the one line that an error of the user's code ends in: kind, message and place."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
        named = [frame for frame in frames if self.file is not None and frame.filename == str(self.file)]
        outside = [frame for frame in frames if not frame.filename.startswith((_OWN, sys.prefix))]
        at = next(reversed(named or outside or frames), None)
        if isinstance(error, SyntaxError) and error.filename:
            where, what = f" ({error.filename}, line {error.lineno})", error.msg
        else:
            where, what = f" ({at.filename}, line {at.lineno})" if at else "", str(error)
        kind = type(error).__name__
        more = "" if isinstance(error, GossamerError) else "; set GOSSAMER_TRACEBACK=1 to see all of it"
        return UserCodeError(f"{self}: {doing} raised {kind}: {what}{where}{more}")


def _look_in(folder: Path) -> None:
    """Puts a folder in front of those that are imported from, unless it is there already."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _finds(file: Path) -> bool:
    """Says whether importing the file's stem gives this file, and not another module of that name."""
    try:
        spec = importlib.util.find_spec(file.stem)
    except ValueError:  # a module without a spec, such as __main__
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).exists() and file.samefile(spec.origin)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1] in "aeiouAEIOU" else f"a {name}"
