"""Fused attention: heads are units, and the scale decides whether positions within a head may go."""

from __future__ import annotations

from torch import Tensor

from gossamer.structure.axes import Axis, factorise
from gossamer.structure.rules.table import Axes, Call, rule

_FUSED = (
    *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"),
    *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention", "scaled_dot_product_attention"),
    *("_scaled_dot_product_attention_math", "_scaled_dot_product_attention_math_for_mps"),
    "_scaled_dot_product_fused_attention_overrideable",
)


@rule(*_FUSED)
def attention(call: Call) -> list[Axes] | Axes:
    """(…, H, L, D), (…, H, S, D), (…, H, S, V) give (…, H, L, V); H of keys and values may be a divisor."""
    query, key, value = (call.axes(name) for name in ("query", "key", "value"))
    call.contract(query[-1], key[-1])
    if call.get("scale") is None:
        query[-1].freeze(f"attention in {call.trace.where} takes its scale from this size")
    call.contract(key[-2], value[-2])
    for columns in zip(query[:-2], key[:-2], value[:-2], strict=True):
        _heads(call, columns)
    mask = call.get("attn_mask", call.get("attn_bias"))
    if isinstance(mask, Tensor):
        scores = (*query[:-2], query[-2], key[-2])
        for one, other in zip(reversed(scores), reversed(call.axes(mask)), strict=False):
            if one.size == other.size:
                call.tie(one, other)
    result = (*query[:-1], value[-1])
    if not isinstance(call.out, list | tuple):
        return result
    rest = [tuple(map(Axis, item.shape)) for item in call.out[1:] if isinstance(item, Tensor)]
    if rest and len(rest[0]) == len(query) - 1 and [a.size for a in rest[0]] == [a.size for a in query[:-1]]:
        rest[0] = query[:-1]
    return [result, *rest]


def _heads(call: Call, columns: tuple[Axis, Axis, Axis]) -> None:
    query, key, value = columns
    call.tie(key, value)
    if query.size == key.size:
        call.tie(query, key)
    elif key.size > 1:
        outer, _ = factorise(query, key.size, query.size // key.size)
        call.tie(outer, key)
