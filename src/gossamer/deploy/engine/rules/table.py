"""The table of rules: the name of an operator, and the function that lowers a call of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Rule = Callable[..., Any]
"""Gets the builder, the traced node and the operator's arguments, in which tensors are values; returns values.

Raises:
    Unsupported: The operator is used in a way that has no kernel.
"""

RULES: dict[str, Rule] = {}

_Function = TypeVar("_Function", bound=Rule)


def rule(*names: str) -> Callable[[_Function], _Function]:
    """Makes a function the rule of operators, whose overload is `default` where the name has none."""

    def register(function: _Function) -> _Function:
        for name in names:
            full = name if "." in name or name.startswith("gossamer.") else f"{name}.default"
            RULES[full if full.startswith("gossamer.") else f"aten.{full}"] = function
        return function

    return register
