"""What gossamer raises, and the one way it suggests a name that was meant.

Every message names what was found, what was expected, and the next thing to try, on one line;
the command line prints that line and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GossamerError(Exception):
    """The base of every error that gossamer raises on purpose."""


class SettingError(GossamerError, ValueError):
    """A setting is out of its range, of the wrong type, or unknown."""


class DataError(GossamerError, ValueError):
    """A data file or tensor does not hold what it should."""


class ModelError(GossamerError, ValueError):
    """A model does not fit the task, the method or the file."""


class FileError(GossamerError, OSError):
    """A file is missing, truncated, altered, foreign, or could not be written."""


class TrainingError(GossamerError, RuntimeError):
    """Training cannot go on, for example because the loss is not a number."""


class UserCodeError(GossamerError, RuntimeError):
    """Code of the user's own, named by a reference, raised an error or returned what cannot be used."""


class MissingExtraError(GossamerError, ImportError):
    """A library of an optional extra is not installed."""


def nearest(name: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """Returns the known names closest to `name`, nearest first.

    >>> nearest("coar", ["cora", "pubmed", "core-ml"])
    ['cora', 'core-ml']
    """
    return difflib.get_close_matches(name.lower(), sorted(known), n=limit, cutoff=0.5)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Returns the message for an unknown name: what was asked, what is near, what there is.

    >>> unknown("method", "riggl", ["rigl", "set"])
    "unknown method 'riggl'; did you mean 'rigl'? Known: rigl, set"
    """
    known = sorted(known)
    close = nearest(name, known)
    hint = f"did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    return f"unknown {kind} {name!r}; {hint}Known: {', '.join(known)}"
