"""Multiplies weights of 1, 2 or 4 bits with floats or signed bytes.

A weight is a code that chooses one of 2^bits levels, with a scale and perhaps an offset for each output and group of
inputs:

    w[j, k] = scales[j, g(k)] · levels[code[j, k]] + offsets[j, g(k)]

Uniform levels with offsets are the usual group-wise quantisation; uneven levels are a code book, as in Dettmers et al.,
"QLoRA", NeurIPS 2023; the levels 0, 1, 0, -1 make ternary weights and 1, -1 binary ones for a layer whose input stays
in floats. For one example the time is that of reading the weights, at their few bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.checks import describe
from gossamer.kernels.library import register
from gossamer.kernels.low_bits.panels import (
    LANES,
    WORD,
    address,
    as_rows,
    check_on,
    check_panels,
    check_rows,
    check_scale,
    check_words,
    from_panels,
    pack_codes,
    to_panels,
    unpack_bytes,
    unpack_codes,
    words_of,
)


class FewBits(NamedTuple):
    """A matrix (R, K) of codes with its levels, scales and offsets."""

    panels: Tensor  # (⌈R / 16⌉, ⌈K · bits / 32⌉, 16) int32
    scales: Tensor  # (⌈R / 16⌉, G, 16) float32
    offsets: Tensor | None  # like scales
    levels: Tensor  # (2^bits,) float32
    outputs: int  # R
    columns: int  # K
    group: int  # inputs that share a scale

    @property
    def bits(self) -> int:
        """How many bits a code has: 1, 2 or 4."""
        return self.levels.shape[0].bit_length() - 1


def pack_few_bits(codes: Tensor, scales: Tensor, levels: Tensor, *, offsets: Tensor | None = None) -> FewBits:
    """Packs a matrix of codes.

    Args:
        codes: (R, K) uint8, each the place of its level.
        scales: (R, G) float32; G equal groups of a multiple of 32 inputs (the last may be shorter), or G = 1.
        levels: (2,), (4,) or (16,) float32, finite.
        offsets: (R, G) float32, added to every weight of the group; None: 0.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or the groups do not fit.
    """
    if levels.dtype is not torch.float32 or levels.dim() != 1 or levels.shape[0] not in (2, 4, 16):
        raise DataError(f"levels: expected float32 of shape (2,), (4,) or (16,), found {describe(levels)}")
    if codes.dim() != 2:
        raise DataError(f"codes: expected uint8 of shape (outputs, inputs), found {describe(codes)}")
    rows, columns = codes.shape
    if scales.dim() != 2 or scales.shape[0] != rows:
        raise DataError(f"scales: expected float32 of shape ({rows}, groups), found {describe(scales)}")
    groups = scales.shape[1]
    check_scale(scales, "scales", (rows, groups), codes.device)
    check_scale(offsets, "offsets", (rows, groups), codes.device)
    check_on(levels, "levels", codes.device)
    group = columns if groups == 1 else _group_size(columns, groups)
    bits = levels.shape[0].bit_length() - 1
    return FewBits(
        to_panels(pack_codes(codes, bits)),
        _side_by_side(scales),
        None if offsets is None else _side_by_side(offsets),
        levels,
        rows,
        columns,
        group,
    )


def unpack_few_bits(weight: FewBits) -> Tensor:
    """Returns the dense matrix, (R, K) float32."""
    scales, offsets, group = weight.scales, weight.offsets, weight.group
    return _dense(weight.panels, scales, offsets, weight.levels, group, weight.outputs, weight.columns)


def few_bits_linear(x: Tensor, weight: FewBits, bias: Tensor | None = None) -> Tensor:
    """Returns `x @ W.T + bias` for float32 x: a linear layer of R outputs.

    Args:
        x: (..., K) float32. With offsets, an infinity may become NaN in the result.
        weight: The matrix.
        bias: (R,) float32, or None.

    Returns:
        (..., R) float32; the gradient reaches `x` and `bias`.

    Raises:
        DataError: An argument has the wrong dtype, shape or device.
    """
    check_rows(x)
    if x.shape[-1] != weight.columns:
        raise DataError(f"x: expected {weight.columns} inputs, found {describe(x)}")
    _check(weight, bias, x.device)
    flat = as_rows(x)
    panels, scales, offsets, levels, outputs, _, group = weight
    out: Tensor = FEW_BITS_LINEAR(flat, panels, scales, offsets, levels, group, outputs, bias)
    return out.reshape(*x.shape[:-1], outputs)


def few_bits_int8_linear(
    words: Tensor, weight: FewBits, *, zero: int, x_scale: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Returns `x_scale · (x @ W.T) + bias` for x of signed bytes and levels that are `code - zero`.

    Args:
        words: (..., ⌈K / 4⌉) int32, from `pack_int8` or `pack_bytes`.
        weight: The matrix; its `levels` have to be 0 - zero, 1 - zero, and so on.
        zero: The code that stands for zero, in [0, 2^bits).
        x_scale: (...,) float32, what 1 in a row of x stands for; None: 1.
        bias: (R,) float32, or None.

    Returns:
        (..., R) float32; there is no gradient.

    Raises:
        DataError: An argument has the wrong dtype, shape or device, or `zero` is no code.
    """
    check_words(words, "words", words_of(weight.columns, 8), weight.columns)
    if not 0 <= zero < weight.levels.shape[0]:
        raise DataError(f"zero: expected a code in [0, {weight.levels.shape[0]}), found {zero}")
    lead = tuple(words.shape[:-1])
    _check(weight, bias, words.device)
    check_scale(x_scale, "x_scale", lead, words.device)
    flat = None if x_scale is None else x_scale.reshape(-1)
    panels, scales, offsets, _, outputs, columns, group = weight
    rows = as_rows(words)
    shape = (weight.bits, zero, group, columns, outputs)
    out: Tensor = FEW_BITS_INT8_LINEAR(rows, panels, scales, offsets, *shape, flat, bias)
    return out.reshape(*lead, outputs)


def few_bits_linear_reference(  # noqa: PLR0917  the arguments of the operator
    x: Tensor,
    panels: Tensor,
    scales: Tensor,
    offsets: Tensor | None,
    levels: Tensor,
    group: int,
    outputs: int,
    bias: Tensor | None,
) -> Tensor:
    """The pure-torch reference of `few_bits_linear` for x (B, K)."""
    return F.linear(x, _dense(panels, scales, offsets, levels, group, outputs, x.shape[1]), bias)


def few_bits_int8_linear_reference(  # noqa: PLR0917  the arguments of the operator
    words: Tensor,
    panels: Tensor,
    scales: Tensor,
    offsets: Tensor | None,
    bits: int,
    zero: int,
    group: int,
    columns: int,
    outputs: int,
    x_scale: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """The pure-torch reference of `few_bits_int8_linear` for words (B, W)."""
    levels = torch.arange(1 << bits, device=words.device).to(torch.float32) - zero
    dense = _dense(panels, scales, offsets, levels, group, outputs, columns)
    out = F.linear(unpack_bytes(words, columns).to(torch.float32), dense)
    out = out if x_scale is None else out * x_scale[:, None]
    return out if bias is None else out + bias


def _group_size(columns: int, groups: int) -> int:
    """Returns the only multiple of 32 that makes `groups` groups of `columns` inputs."""
    group = -(-columns // max(groups, 1))
    group = -(-group // WORD) * WORD
    if groups < 1 or group == 0 or -(-columns // group) != groups:
        raise DataError(f"scales: {groups} groups do not divide {columns} inputs into multiples of {WORD}")
    return group


def _side_by_side(values: Tensor) -> Tensor:
    """Returns (R, G) as (⌈R / 16⌉, G, 16), with zeros beyond the last row."""
    padded = F.pad(values, (0, 0, 0, -values.shape[0] % LANES))
    return padded.reshape(padded.shape[0] // LANES, LANES, values.shape[1]).transpose(1, 2).contiguous()


def _dense(  # noqa: PLR0917  the parts of a matrix
    panels: Tensor,
    scales: Tensor,
    offsets: Tensor | None,
    levels: Tensor,
    group: int,
    outputs: int,
    columns: int,
) -> Tensor:
    bits = levels.shape[0].bit_length() - 1
    codes = unpack_codes(from_panels(panels, outputs), bits, columns)
    of = torch.arange(columns, device=panels.device) // max(group, 1)
    dense = levels[codes.long()] * from_panels(scales, outputs)[:, of]
    return dense if offsets is None else dense + from_panels(offsets, outputs)[:, of]


def _check(weight: FewBits, bias: Tensor | None, device: torch.device) -> None:
    blocks, columns = -(-weight.outputs // LANES), weight.columns
    groups = weight.scales.shape[1] if weight.scales.dim() == 3 else 0
    check_panels(weight.panels, (blocks, words_of(columns, weight.bits), LANES), device)
    check_scale(weight.scales, "scales", (blocks, groups, LANES), device)
    check_scale(weight.offsets, "offsets", (blocks, groups, LANES), device)
    check_scale(weight.levels, "levels", (1 << weight.bits,), device)
    check_scale(bias, "bias", (weight.outputs,), device)
    whole = weight.group >= columns
    if (not whole and (weight.group < 1 or weight.group % WORD)) or groups < -(-columns // max(weight.group, 1)):
        raise DataError(f"group: {groups} groups of {weight.group} do not fit {columns} inputs; use pack_few_bits")


def _linear_cpu(  # noqa: PLR0917  the arguments of the operator
    x: Tensor,
    panels: Tensor,
    scales: Tensor,
    offsets: Tensor | None,
    levels: Tensor,
    group: int,
    outputs: int,
    bias: Tensor | None,
) -> Tensor:
    if not native.available():
        return few_bits_linear_reference(x, panels, scales, offsets, levels, group, outputs, bias)
    x, levels = x.contiguous(), levels.contiguous()
    out = torch.empty(x.shape[0], outputs)
    bits = levels.shape[0].bit_length() - 1
    _run("few_bits", x, (x.shape[1], bits, group), (None, panels, scales, offsets, levels, bias), 0, out)
    return out


def _int8_cpu(  # noqa: PLR0917  the arguments of the operator
    words: Tensor,
    panels: Tensor,
    scales: Tensor,
    offsets: Tensor | None,
    bits: int,
    zero: int,
    group: int,
    columns: int,
    outputs: int,
    x_scale: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    if not native.available():
        return few_bits_int8_linear_reference(
            words, panels, scales, offsets, bits, zero, group, columns, outputs, x_scale, bias
        )
    out = torch.empty(words.shape[0], outputs)
    parts = (x_scale, panels, scales, offsets, None, bias)
    _run("few_bits_int8", words.contiguous(), (columns, bits, group), parts, zero, out)
    return out


def _run(  # noqa: PLR0917  what the kernel takes
    kernel: str, x: Tensor, sizes: tuple[int, int, int], parts: tuple[Tensor | None, ...], zero: int, out: Tensor
) -> None:
    """Calls a native kernel; `parts` is (x_scale, panels, scales, offsets, levels, bias)."""
    held = [None if part is None else part.contiguous() for part in parts]
    *matrix, bias = (address(part) for part in held)
    columns, bits, group = sizes
    run = getattr(native.kernels(), kernel)
    threads = torch.get_num_threads()
    run(out.shape[0], columns, out.shape[1], bits, group, address(x), *matrix, zero, bias, address(out), threads)


def _linear_fake(  # noqa: PLR0917  the arguments of the operator
    x: Tensor,
    panels: Tensor,
    scales: Tensor,
    offsets: Tensor | None,
    levels: Tensor,
    group: int,
    outputs: int,
    bias: Tensor | None,
) -> Tensor:
    del panels, scales, offsets, levels, group, bias
    return x.new_empty(x.shape[0], outputs)


def _int8_fake(words: Tensor, panels: Tensor, scales: Tensor, *rest: Any) -> Tensor:
    del panels
    return scales.new_empty(words.shape[0], rest[5])


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    del output
    x, panels, scales, offsets, levels, ctx.group, ctx.outputs, _ = inputs
    ctx.columns = x.shape[1]
    ctx.save_for_backward(panels, scales, offsets, levels)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad_x = grad_bias = None
    if ctx.needs_input_grad[0]:
        panels, scales, offsets, levels = ctx.saved_tensors
        grad_x = grad @ _dense(panels, scales, offsets, levels, ctx.group, ctx.outputs, ctx.columns)
    if ctx.needs_input_grad[7]:
        grad_bias = grad.sum(0)
    return grad_x, None, None, None, None, None, None, grad_bias


_MATRIX = "Tensor panels, Tensor scales, Tensor? offsets"
FEW_BITS_LINEAR = register(
    f"few_bits_linear(Tensor x, {_MATRIX}, Tensor levels, SymInt group, SymInt outputs, Tensor? bias) -> Tensor",
    cpu=_linear_cpu,
    reference=few_bits_linear_reference,
    fake=_linear_fake,
    backward=_backward,
    save=_save,
)
FEW_BITS_INT8_LINEAR = register(
    f"few_bits_int8_linear(Tensor words, {_MATRIX}, int bits, int zero, SymInt group, SymInt columns, SymInt outputs, "
    "Tensor? x_scale, Tensor? bias) -> Tensor",
    cpu=_int8_cpu,
    reference=few_bits_int8_linear_reference,
    fake=_int8_fake,
)
