"""What a reader of a comparison should beware of, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gossamer import units
from gossamer.frontier.points import Point, describe_cell
from gossamer.frontier.statistics import difference

if TYPE_CHECKING:
    from gossamer.frontier.frontier import Frontier

_FEW = 3  # seeds below which an interval says little
_NAMED = 3  # things a sentence names before it counts the rest


def found(frontier: Frontier) -> Iterator[str]:
    """Yields a sentence for each thing to beware of."""
    if not frontier.points():
        yield "No cell has finished; look at the errors of the failed ones."
    elif frontier.dense is None:
        yield "There is no dense network in this run to compare with; add the method dense."
    yield from _few_seeds(frontier)
    yield from _slower(frontier)
    yield from _missed(frontier)
    if frontier.failed:
        cells = [f"{describe_cell(cell)} ({cell.get('error') or 'no result'})" for cell in frontier.failed]
        yield f"{_cells(len(cells))} failed and count nowhere: {_listed(cells, '; ')}."
    if frontier.unmeasured:
        yield f"{_cells(len(frontier.unmeasured))} trained but not measured yet; the same command again goes on."


def _few_seeds(frontier: Frontier) -> Iterator[str]:
    points = frontier.points()
    single = [point.label for point in points if len(point.seeds) == 1]
    if points and len(single) == len(points):
        yield "Every network ran with one seed, so nothing is known of the noise: no interval, no network is beaten."
    elif single:
        yield f"Only one seed finished of {_listed(single)}: no interval, and neither beaten nor beating."
    few = [point.label for point in points if 1 < len(point.seeds) < _FEW]
    if few:
        yield f"Two seeds give wide intervals: {_listed(few)}. Run at least {_FEW}."


def _slower(frontier: Frontier) -> Iterator[str]:
    """Yields what is smaller than dense but measured slower, and what its layers run."""
    dense, key = frontier.dense, "latency_ms"
    if dense is None:
        return
    for point in frontier.compressed:
        ratio, size = frontier.ratio(point, key), frontier.ratio(point, "bytes")
        if ratio is None or size is None or size <= 1 or ratio >= 1:
            continue
        gap = difference(point.costs[key], dense.costs[key])
        if gap is not None and gap.low > 0:
            sure = "beyond the noise"
        elif gap is None and ratio < 0.95:
            sure = "with one seed"
        else:
            continue
        yield f"{point.label} is smaller than dense but slower, {units.factor(1 / ratio)}, {sure}{_layers(point)}."


def _layers(point: Point) -> str:
    """Returns which pruned layers run dense, of the first seed."""
    pruned = [layer for layer in point.cells[0].get("layers") or [] if layer.get("sparsity")]
    dense = [layer["name"] for layer in pruned if layer.get("kernel", "dense") == "dense"]
    if dense:
        return f"; pruned layers that run dense all the same: {_listed(dense)}"
    return "; its pruned layers run sparse kernels" if pruned else ""


def _missed(frontier: Frontier) -> Iterator[str]:
    for point in frontier.points():
        missed = [cell["seed"] for cell in point.cells if cell.get("met_budget") is False]
        if missed:
            seeds = ", ".join(map(str, missed))
            yield f"{point.label} does not meet its budget with seed{'' if len(missed) == 1 else 's'} {seeds}."


def _listed(items: list[str], between: str = ", ") -> str:
    rest = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return between.join(items[:_NAMED]) + rest


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"
