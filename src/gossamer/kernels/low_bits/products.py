"""What the products of words with panels share: an exact one with int32 results, and a scaled one.

A family differs in how a word is read and in its native kernel. Its exact product is integers times integers; the
scaled one is

    out[i, j] = x_scale[i] · scale[j] · Σ_k x[i, k] · w[j, k] + bias[j]

in one pass. A row may have more words than its inputs need, and gaps of zeros anywhere, as long as both sides have them
in the same places: a convolution begins each pixel with a new word. There are no gradients: what trains such a network
takes them from the float weights it keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.checks import describe
from gossamer.kernels.library import register
from gossamer.kernels.low_bits.panels import (
    LANES,
    address,
    as_rows,
    check_panels,
    check_scale,
    from_panels,
    words_of,
)


class Family(NamedTuple):
    """One way to read a word."""

    name: str
    bits: int  # of a number in one word
    planes: int  # words that stand in the place of one
    surplus: int  # what a place beyond the last input adds to a product
    unpack: Callable[[Tensor], Tensor]  # words (R, W) or (R, W, 2) to all their numbers (R, W · 32 / bits), float64


class Operators(NamedTuple):
    """The operators of a family, (words, panels, columns, ...) each, and their references."""

    matmul: Any
    linear: Any
    matmul_reference: Callable[..., Tensor]
    linear_reference: Callable[..., Tensor]


def define(family: Family) -> Operators:
    """Registers `<name>_matmul` and `<name>_linear`."""

    def matmul_reference(words: Tensor, panels: Tensor, columns: int, outputs: int) -> Tensor:
        x, weights = family.unpack(words), family.unpack(from_panels(panels, outputs))
        return (x @ weights.T - family.surplus * (x.shape[1] - columns)).to(torch.int32)

    def linear_reference(  # noqa: PLR0917  the arguments of the operator
        words: Tensor, panels: Tensor, columns: int, scale: Tensor, x_scale: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        exact = matmul_reference(words, panels, columns, scale.shape[0]).to(torch.float32)
        out = exact * (scale if x_scale is None else x_scale[:, None] * scale)
        return out if bias is None else out + bias

    def matmul_cpu(words: Tensor, panels: Tensor, columns: int, outputs: int) -> Tensor:
        if not native.available():
            return matmul_reference(words, panels, columns, outputs)
        out = torch.empty(words.shape[0], outputs, dtype=torch.int32)
        _run(family, words, panels, columns, out, (None, None, None))
        return out

    def linear_cpu(  # noqa: PLR0917  the arguments of the operator
        words: Tensor, panels: Tensor, columns: int, scale: Tensor, x_scale: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        if not native.available():
            return linear_reference(words, panels, columns, scale, x_scale, bias)
        out = torch.empty(words.shape[0], scale.shape[0])
        _run(family, words, panels, columns, out, (x_scale, scale, bias))
        return out

    def matmul_fake(words: Tensor, panels: Tensor, columns: int, outputs: int) -> Tensor:
        del panels, columns
        return words.new_empty(words.shape[0], outputs)

    def linear_fake(  # noqa: PLR0917  the arguments of the operator
        words: Tensor, panels: Tensor, columns: int, scale: Tensor, x_scale: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        del panels, columns, x_scale, bias
        return scale.new_empty(words.shape[0], scale.shape[0])

    common = "Tensor words, Tensor panels, SymInt columns"
    matmul = register(
        f"{family.name}_matmul({common}, SymInt outputs) -> Tensor",
        cpu=matmul_cpu,
        reference=matmul_reference,
        fake=matmul_fake,
    )
    linear = register(
        f"{family.name}_linear({common}, Tensor scale, Tensor? x_scale, Tensor? bias) -> Tensor",
        cpu=linear_cpu,
        reference=linear_reference,
        fake=linear_fake,
    )
    return Operators(matmul, linear, matmul_reference, linear_reference)


def matmul(  # noqa: PLR0917  those of the operator, and which one
    family: Family, operators: Operators, words: Tensor, panels: Tensor, columns: int, outputs: int
) -> Tensor:
    """Checks the arguments of an exact product and runs it: words (..., W[, 2]) to int32 (..., outputs)."""
    lead = _check(family, words, panels, columns, outputs)
    out: Tensor = operators.matmul(as_rows(words, 1 + (family.planes > 1)), panels, columns, outputs)
    return out.reshape(*lead, outputs)


def linear(  # noqa: PLR0917  those of the operator, and which one
    family: Family,
    operators: Operators,
    words: Tensor,
    panels: Tensor,
    columns: int,
    scale: Tensor,
    *,
    x_scale: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """Checks the arguments of a scaled product and runs it: words (..., W[, 2]) to float32 (..., outputs)."""
    if scale.dim() != 1:
        raise DataError(f"scale: expected shape (outputs,), found {tuple(scale.shape)}")
    outputs = scale.shape[0]
    lead = _check(family, words, panels, columns, outputs)
    check_scale(scale, "scale", (outputs,), words.device)
    check_scale(x_scale, "x_scale", lead, words.device)
    check_scale(bias, "bias", (outputs,), words.device)
    flat = None if x_scale is None else x_scale.reshape(-1)
    out: Tensor = operators.linear(as_rows(words, 1 + (family.planes > 1)), panels, columns, scale, flat, bias)
    return out.reshape(*lead, outputs)


def _check(family: Family, words: Tensor, panels: Tensor, columns: int, outputs: int) -> tuple[int, ...]:
    """Checks what both products take; returns the leading dimensions."""
    if columns < 0 or outputs < 0:
        raise DataError(f"columns and outputs: expected at least 0, found {columns} and {outputs}")
    least = words_of(columns, family.bits)
    planes = (family.planes,) if family.planes > 1 else ()
    inner = words.shape[words.dim() - len(planes) :]
    if words.dtype is not torch.int32 or words.dim() < 1 + len(planes) or inner != planes:
        form = ", ".join(str(size) for size in ("...", least, *planes))
        raise DataError(f"words: expected int32 of shape ({form}) for {columns} inputs, found {describe(words)}")
    lead, length = words.shape[: -1 - len(planes)], words.shape[-1 - len(planes)]
    if length < least:
        raise DataError(f"words: expected at least {least} a row for {columns} inputs, found {describe(words)}")
    check_panels(panels, (-(-outputs // LANES), length, *planes, LANES), words.device)
    return tuple(lead)


def _run(  # noqa: PLR0917  what the kernel takes
    family: Family,
    words: Tensor,
    panels: Tensor,
    columns: int,
    out: Tensor,
    scales: tuple[Tensor | None, Tensor | None, Tensor | None],
) -> None:
    """Calls the native kernel; `scales` is (x_scale, scale, bias), all None for integers."""
    words, panels = words.contiguous(), panels.contiguous()
    held = [None if value is None else value.contiguous() for value in scales]
    kernel = getattr(native.kernels(), f"{family.name}_product")
    kernel(
        out.shape[0],
        columns,
        words.shape[1],
        out.shape[1],
        address(words),
        address(panels),
        *(address(value) for value in held),
        address(out),
        torch.get_num_threads(),
    )
