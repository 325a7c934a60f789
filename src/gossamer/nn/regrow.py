"""Drop-and-grow for layers that hold only their stored weights: the pattern moves, nothing becomes dense.

The weights nearest to zero go; as many come, among those that were not kept: where the dense gradient would be
largest (Evci et al., "Rigging the lottery", ICML 2020) or anywhere (Mocanu et al., "Scalable training of artificial
neural networks with adaptive sparse connectivity", Nature Communications 2018). The dense gradient is made strip by
strip of outputs and never stands in memory as a whole; only the best places of each strip are kept.

    with recorded([layer]) as calls:
        task.loss(model, batch).backward()
    optimizer.step()
    source = drop_and_grow(layer, 100, gradient=calls[layer])
    remap(optimizer, layer.matrix.values, source)

The outcome is that of the same algorithm on a dense weight with a mask; in blocks, a unit is a column of 16 outputs,
whose worth is the mean of its weights' worths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.errors import SettingError
from gossamer.nn.choose import best, distinct
from gossamer.nn.packed import take
from gossamer.nn.sparse import Sparse

_STRIP = 1 << 20  # numbers of a dense gradient that stand in memory at a time

Calls = list[tuple[Tensor, Tensor]]
"""What a layer was called on, with the gradient of each result."""


@contextmanager
def recorded(layers: Iterable[Sparse]) -> Iterator[dict[Sparse, Calls]]:
    """Notes the calls of these layers inside a `with` block, and the gradients that come back to them."""
    calls: dict[Sparse, Calls] = {layer: [] for layer in layers}

    def note(layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        assert isinstance(layer, Sparse)
        x = args[0].detach()
        if out.requires_grad:
            out.register_hook(lambda flow: calls[layer].append((x, flow.detach())))  # type: ignore[no-untyped-call]

    handles = [layer.register_forward_hook(note) for layer in calls]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def drop_and_grow(
    layer: Sparse, count: int, *, gradient: Calls | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Drops the `count` units of the smallest |weight| and grows as many, with weight zero, among all not kept.

    Args:
        layer: The layer, which is changed; the gradient of its values is dropped.
        count: How many units, at most all that are stored; a unit is one weight, or 16 in blocks.
        gradient: Grows where the dense gradient of these calls is largest; see `recorded`.
        generator: Grows at random. Exactly one of the two is given.

    Returns:
        For each unit now stored, its number before, or -1 if it is new, (n,) int64; see `remap`.

    Raises:
        SettingError: `count` is out of range, or not exactly one source of growth is given.
    """
    matrix = layer.matrix
    stored = matrix.indices.shape[0]
    if not 0 <= count <= stored:
        raise SettingError(f"count is {count}; expected at most the {stored} stored units, and at least 0")
    if (gradient is None) == (generator is None):
        raise SettingError("drop_and_grow: expected either gradient=... or generator=..., exactly one of them")
    kept = matrix.places[best(matrix.worth(matrix.values.abs()), stored - count)]
    if gradient is not None:
        grown = _by_gradient(layer, gradient, kept, count)
    else:
        assert generator is not None
        free = lambda places: layer.may_store(places) & ~_among(places, kept)  # noqa: E731
        grown = distinct(matrix.bands * matrix.columns, count, generator, free)
    return matrix.move(kept, grown)


def remap(optimizer: Optimizer, parameter: nn.Parameter, source: Tensor) -> None:
    """Moves the state that an optimiser keeps for each stored value to where `drop_and_grow` put the value.

    Args:
        optimizer: Any; of its state, tensors of one number a value are moved, new values start at zero.
        parameter: `layer.matrix.values`.
        source: What `drop_and_grow` returned.
    """
    state = optimizer.state.get(parameter, {})
    for name, tensor in state.items():
        if isinstance(tensor, Tensor) and tensor.dim() and tensor.shape[1:] == parameter.shape[1:]:
            state[name] = take(tensor, source)


def _by_gradient(layer: Sparse, calls: Sequence[tuple[Tensor, Tensor]], kept: Tensor, count: int) -> Tensor:
    """Returns the places, (count,), of the largest mean |gradient| of a unit among all but `kept`."""
    matrix = layer.matrix
    bands = max(1, _STRIP // max(1, matrix.columns * matrix.height))
    places = torch.empty(0, dtype=torch.int64, device=kept.device)
    scores = matrix.values.new_empty(0)
    for band in range(0, matrix.bands, bands):
        until = min(band + bands, matrix.bands)
        rows = slice(band * matrix.height, min(until * matrix.height, matrix.rows))
        dense = matrix.values.new_zeros(rows.stop - rows.start, matrix.columns)
        for x, flow in calls:
            dense += layer.dense_gradient(x, flow, rows)
        strip = torch.arange(band * matrix.columns, until * matrix.columns, device=kept.device)
        free = layer.may_store(strip) & ~_among(strip, kept)
        worth = matrix.pool(dense.abs(), band)[free]
        chosen = best(worth, count)
        places, scores = torch.cat([places, strip[free][chosen]]), torch.cat([scores, worth[chosen]])
        chosen = best(scores, count)
        places, scores = places[chosen], scores[chosen]
    return places


def _among(places: Tensor, ascending: Tensor) -> Tensor:
    """Says which places are in an ascending list."""
    if ascending.shape[0] == 0:
        return torch.zeros_like(places, dtype=torch.bool)
    at = torch.searchsorted(ascending, places).clamp_(max=ascending.shape[0] - 1)
    return ascending[at] == places
