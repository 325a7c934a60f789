"""What the columns of an edge list mean.

Four roles have a meaning: `source`, `target`, `weight` and `time`. A column is given its role by the caller,
by its place or by its name; where the caller is silent, by the names in the file; where the file is silent
too, two columns are source and target, and more than two are a question that only the caller can answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gossamer.errors import DataError, unknown

Columns = Sequence[str] | Mapping[str, str | int]

SKIP = "_"
ROLES = ("source", "target", "weight", "time")

_ALIASES = {
    "source": """source src from fromnode fromnodeid sourceid u i tail sender user userid rater
        node1 id1 nodea white""",
    "target": """target tgt dst dest destination to tonode tonodeid targetid v j head receiver item itemid
        ratee node2 id2 nodeb black""",
    "weight": "weight weights w rating sign score value strength",
    "time": "time timestamp t ts unixtime datetime date",
}
_ROLE_OF = {alias: role for role, aliases in _ALIASES.items() for alias in aliases.split()}


def role_of(name: str) -> str | None:
    """Returns the role that a column's name suggests, or None.

    >>> role_of("FromNodeId"), role_of("Time_Stamp"), role_of("colour")
    ('source', 'time', None)
    """
    return _ROLE_OF.get(re.sub(r"[\W_]", "", name.lower()))


def has_ends(names: Sequence[str]) -> bool:
    """Says whether names hold a source and a target."""
    return {"source", "target"} <= {role_of(name) for name in names}


def assign(where: str, width: int, columns: Columns | None, header: Sequence[str] | None, sample: str) -> list[str]:
    """Returns the name of each column: a role, `SKIP`, or its own name in the file.

    Args:
        where: Names the file in messages.
        width: How many columns there are.
        columns: What the caller says: a name for each column in order, or role to header name or place from
            0.
        header: The names in the file, if it has some.
        sample: A line of the file, for messages.

    Raises:
        DataError: The columns asked for are not there, a role is given twice, or there is no telling what is
            what.
    """
    if isinstance(columns, Mapping):
        names = _by_mapping(where, width, columns, header)
    elif columns is not None:
        names = list(columns)
        if len(names) != width:
            raise DataError(f"{where}: columns names {len(names)} columns, but the file has {width}, as in {sample!r}")
    elif header is not None:
        names = _by_header(header)
    elif width == 2:
        names = ["source", "target"]
    else:
        names_shown = ("source", "target", "weight", "time")[:width] + ("other",) * (width - 4)
        raise DataError(
            f"{where}: {width} columns without names, as in {sample!r}; say what they are, for example "
            f"columns={names_shown} or 'time' in place of 'weight'; {SKIP!r} leaves a column out"
        )
    for role in ROLES[:2]:
        if role not in names:
            raise DataError(f"{where}: no column is the {role}; found {', '.join(names)}: name it with columns=")
    twice = sorted({name for name in names if name != SKIP and names.count(name) > 1})
    if twice:
        raise DataError(f"{where}: two columns are called {twice[0]!r}; say which with columns={{{twice[0]!r}: place}}")
    return names


def _by_mapping(where: str, width: int, columns: Mapping[str, str | int], header: Sequence[str] | None) -> list[str]:
    names = [SKIP] * width
    for role, wanted in columns.items():
        if isinstance(wanted, int):
            place = wanted
        else:
            if header is None:
                raise DataError(f"{where}: has no header, so {wanted!r} cannot be found; give places from 0 instead")
            if wanted not in header:
                raise DataError(f"{where}: {unknown('column', wanted, header)}")
            place = header.index(wanted)
        if not 0 <= place < width:
            raise DataError(f"{where}: column {place} asked for as {role!r}; expected 0 to {width - 1}")
        if names[place] != SKIP:
            raise DataError(f"{where}: column {place} is asked for as {names[place]!r} and as {role!r}; choose one")
        names[place] = role
    return names


def _by_header(header: Sequence[str]) -> list[str]:
    """Gives roles to names; where neither end is recognised, the first two that are left are the ends."""
    roles = [role_of(name) for name in header]
    free = [place for place, role in enumerate(roles) if role is None]
    if not {"source", "target"} & set(roles) and len(free) >= 2:
        roles[free[0]], roles[free[1]] = "source", "target"
    return [role or name for role, name in zip(roles, header, strict=True)]
