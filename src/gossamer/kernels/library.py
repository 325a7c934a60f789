"""The `gossamer` namespace of torch operators, in which every kernel of this package registers itself.

Operators are defined on a `torch.library.Library` and not through `torch.library.custom_op`, which adds a
layer of Python to every call that costs more than a small product does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gossamer.errors import DataError

_LIBRARY = torch.library.Library("gossamer", "DEF")  # type: ignore[no-untyped-call]

REFERENCES: dict[Callable[..., Any], Callable[..., Any]] = {}
"""What computes the same as each operator, from torch's own."""


def register(
    schema: str,
    *,
    cpu: Callable[..., Any],
    reference: Callable[..., Any],
    fake: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    save: Callable[..., None] | None = None,
) -> Callable[..., Any]:
    """Defines an operator and returns its overload, `torch.ops.gossamer.<name>.default`.

    Args:
        schema: Name, arguments and results in torch's schema language. No argument may have a default: torch
            drops arguments that equal theirs, and gradients would be matched with the wrong ones.
        cpu: What runs on the CPU.
        reference: What runs on any other device.
        fake: Returns empty results of the right shapes, for tracing.
        backward: The gradient, where there is one; it may use registered operators only.
        save: Keeps what `backward` needs in its context.
    """
    name = schema.partition("(")[0]
    _LIBRARY.define(schema)  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, reference, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, cpu, "CPU")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"gossamer::{name}", fake, lib=_LIBRARY)
    if backward is not None:
        torch.library.register_autograd(f"gossamer::{name}", backward, setup_context=save, lib=_LIBRARY)
    overload: Callable[..., Any] = getattr(torch.ops.gossamer, name).default
    REFERENCES[overload] = reference
    return overload


def index_error(name: str, bound: int) -> DataError:
    """Returns the error for an index that the argument `name` holds outside [0, `bound`)."""
    return DataError(f"{name}: holds values outside [0, {bound}), the rows of the input; check the matrix")
