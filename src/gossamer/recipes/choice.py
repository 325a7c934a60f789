"""A choice by name with settings: a method, an optimiser, a schedule.

It is written as `"rigl"`, as `"rigl[every=5]"`, or as a table, `{ name = "rigl", every = 5, label = "often" }`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from gossamer.errors import SettingError
from gossamer.naming import parse_named
from gossamer.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Choice(Settings):
    """A name, settings that differ from its defaults, and what results call it.

    >>> Choice.of("rigl[every=5]")
    Choice(kind='rigl', settings={'every': 5}, label='rigl[every=5]')
    """

    kind: str  # the registered name
    settings: Mapping[str, Any] = field(default_factory=dict)  # in their JSON form
    label: str = ""  # by default the name with its settings

    def __post_init__(self) -> None:
        """Fills in the label; a setting of None is none."""
        super().__post_init__()
        object.__setattr__(self, "settings", {key: item for key, item in self.settings.items() if item is not None})
        if not self.label:
            pairs = ",".join(f"{key}={_text(item)}" for key, item in self.settings.items())
            object.__setattr__(self, "label", f"{self.kind}[{pairs}]" if pairs else self.kind)

    @classmethod
    def of(cls, value: Any) -> Self:
        """Makes a choice from a choice, a text or a table.

        Raises:
            SettingError: It is neither, or does not read.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            found = parse_named(value)
            if len(found) != 1:
                raise SettingError(f"expected one name, found {len(found)}: {', '.join(found)}")
            label, (kind, settings) = next(iter(found.items()))
            return cls(kind=kind, settings=settings, label=label)
        if not isinstance(value, Mapping):
            raise SettingError(
                f"found {value!r}, expected a name such as 'rigl', 'rigl[every=5]', or a table with a name"
            )
        rest = {key: item for key, item in value.items() if key not in ("name", "label")}
        name, label = value.get("name"), value.get("label", "")
        if not isinstance(name, str) or not isinstance(label, str):
            raise SettingError("a table of settings needs a name, and its label is text: { name = 'rigl', every = 5 }")
        one = cls.of(name)
        return cls(kind=one.kind, settings={**one.settings, **rest}, label=label or ("" if rest else one.label))

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Makes a choice as `of` does."""
        return cls.of(value)

    def to_json(self) -> Any:
        """Returns the label where that says it all, else a table."""
        try:
            if Choice.of(self.label) == self:
                return self.label
        except SettingError:
            pass
        return {"name": self.kind, "label": self.label, **self.settings}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
