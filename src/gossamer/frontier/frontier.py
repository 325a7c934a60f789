"""Many compressed networks side by side, and the ones that no other beats.

A point is one method at one setting, its figures the means over its seeds. Choices are made on the validation split;
the test split is only shown. Reading a comparison and choosing from it needs no PyTorch.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gossamer.errors import DataError, FileError, SettingError, unknown
from gossamer.files import read_json, write_json
from gossamer.frontier import dominance, points
from gossamer.frontier.axes import AXES, Axis
from gossamer.frontier.points import DENSE, Point
from gossamer.frontier.statistics import CONFIDENCE, Difference, Estimate, difference

if TYPE_CHECKING:
    import pandas
    from torch import nn

    from gossamer.cost import Budget
    from gossamer.frontier.advice import Advice
    from gossamer.frontier.tables import Table

FORMAT = 1
Kind = Literal["points", "cells", "layers"]


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """The cells of a comparison.

    Attributes:
        run: What the cells share: data, model, task, metric, machine, training, creation time.
        cells: One JSON object a cell, as `Compressed.to_json` gives it, with `id`, `status` and `error`.
        folder: Where the comparison lies, with its networks in `cells/<id>/`; None if it is not on disk.
    """

    run: dict[str, Any]
    cells: tuple[dict[str, Any], ...] = field(default=())
    folder: Path | None = field(default=None, compare=False)

    @property
    def metric(self) -> str:
        """The headline metric."""
        return str(self.run["metric"])

    @property
    def higher_is_better(self) -> bool:
        """Whether more of the metric is better."""
        return bool(self.run.get("higher_is_better", True))

    def points(self) -> list[Point]:
        """Returns one point for each method and setting with at least one finished cell, in the cells' order."""
        return list(self._points)

    @functools.cached_property
    def _points(self) -> tuple[Point, ...]:
        return tuple(points.group(self.cells, self.metric))

    @functools.cached_property
    def dense(self) -> Point | None:
        """The dense network: the method `dense`, or what came in where a single network was compressed."""
        found = next((point for point in self._points if point.method == DENSE), None)
        if found is None and self.run.get("kind") == "compression":  # in a comparison, networks come in untrained
            return points.before(self.cells, self.metric)
        return found

    @property
    def compressed(self) -> list[Point]:
        """The points that are not the dense network, in the cells' order."""
        return [point for point in self._points if point is not self.dense]

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The cells that failed, or finished without a quality."""
        return [c for c in self.cells if not points.finished(c, self.metric) and c.get("status", "done") != "trained"]

    @property
    def unmeasured(self) -> list[dict[str, Any]]:
        """The cells that are trained and still have to be measured."""
        return [cell for cell in self.cells if cell.get("status") == "trained"]

    @property
    def axes(self) -> list[Axis]:
        """The costs with a title that at least one point has, and that differ where they mostly do not."""
        return [axis for axis in AXES if self._shown(axis)]

    def _shown(self, axis: Axis) -> bool:
        found = {point.costs[axis.key].mean for point in self._points if axis.key in point.costs}
        return len(found) > (1 if axis.if_it_differs else 0)

    def pareto(self, cost: str | Sequence[str] = "bytes", confidence: float | None = CONFIDENCE) -> list[Point]:
        """Returns the points that no other beats in validation quality and `cost`, cheapest first.

        A point is beaten only beyond the noise: where, at this confidence, another is shown to be at least as good in
        quality and in every cost and better in one of them. Quality and latency differ by Student's interval over
        seeds (paired where both have the same seeds), counted costs by their means. With few seeds most points stay,
        and points of a single seed all do, as nothing is known of their noise.

        Args:
            cost: A field of `Cost`, or several.
            confidence: Above 0 and below 1; None compares means as if they were certain.

        Raises:
            SettingError: No point has this cost, or the confidence is out of range.
        """
        names = self._costs(cost)
        known = [point for point in self._points if all(name in point.costs for name in names)]
        known.sort(key=lambda point: ([point.costs[name].mean for name in names], -self.gain(point)))
        return dominance.pareto(known, names, higher_is_better=self.higher_is_better, confidence=confidence)

    def beaten_by(
        self, point: Point, cost: str | Sequence[str] = "bytes", confidence: float | None = CONFIDENCE
    ) -> Point | None:
        """Returns the best of the points that beat this one, as `pareto` has it; None if none does.

        Raises:
            SettingError: As `pareto`.
        """
        names = self._costs(cost)
        better = [
            other
            for other in self._points
            if all(name in other.costs for name in names)
            and dominance.dominates(other, point, names, higher_is_better=self.higher_is_better, confidence=confidence)
        ]
        return max(better, key=self.gain, default=None)

    def hypervolume(self, cost: str | Sequence[str] = "bytes", reference: Mapping[str, float] | None = None) -> float:
        """Returns the volume that the points' means cover in validation quality and `cost`, in the product of units.

        Args:
            cost: A field of `Cost`, or several.
            reference: The corner from which volume counts: `quality` and each cost to a value that is worse than what
                should count. By default the worst value of each among the points, so that the outermost points add
                nothing; give one to compare frontiers with each other.

        Raises:
            SettingError: No point has this cost, or the reference names others.
        """
        names = self._costs(cost)
        sign = -1.0 if self.higher_is_better else 1.0
        places = [
            (sign * point.validation, *(point.costs[name].mean for name in names))
            for point in self._points
            if all(name in point.costs for name in names)
        ]
        if reference is None:
            return dominance.volume(places, [max(column) for column in zip(*places, strict=True)])
        for name in reference:
            if name not in {"quality", *names}:
                raise SettingError(unknown("coordinate of a reference", name, ["quality", *names]))
        missing = [name for name in ("quality", *names) if name not in reference]
        if missing:
            raise SettingError(f"reference: {', '.join(missing)} missing; give quality and every cost")
        return dominance.volume(places, [sign * reference["quality"], *(reference[name] for name in names)])

    def best(self, budget: Budget | None = None) -> Point:
        """Returns the point of best validation quality whose mean costs are within the budget.

        Raises:
            SettingError: No finished point is within the budget; the message names the nearest.
        """
        if not self._points:
            raise SettingError("the comparison has no finished cell; look at the errors of its failed cells")
        if budget is None:
            return max(self._points, key=self.gain)
        within = self.within(budget)
        if not within:
            near, over = self.nearest(budget)
            text = ", ".join(f"{name} {found:.6g} over {bound:.6g}" for name, (found, bound) in over.items())
            raise SettingError(f"no network is within the budget; nearest is {near.label} ({text})")
        return max(within, key=self.gain)

    def within(self, budget: Budget) -> list[Point]:
        """Returns the points whose mean costs are within the budget.

        Raises:
            SettingError: No point has a cost that the budget bounds.
        """
        return [point for point in self._known(budget) if budget.met_by(_as_cost(point))]

    def nearest(self, budget: Budget) -> tuple[Point, dict[str, tuple[float, float]]]:
        """Returns the point with the smallest overshoot, and (found, bound) of each bound that it exceeds."""
        near = min(self._known(budget), key=lambda point: budget.excess(_as_cost(point)))
        return near, budget.violations(_as_cost(near))

    def gain(self, point: Point) -> float:
        """Returns the mean validation quality, with its sign turned where less is better."""
        return point.validation if self.higher_is_better else -point.validation

    @property
    def split(self) -> Literal["val", "test"]:
        """The split on which networks are compared with the dense one.

        It is validation, but for a single compressed network, as of what came in only the test quality is known.
        """
        return "test" if self.dense is not None and self.dense not in self._points else "val"

    def judged(self, point: Point) -> Estimate:
        """Returns the quality by which a point is compared with the dense one."""
        return point.val if self.split == "val" else point.test

    def against_dense(self, point: Point, confidence: float | None = CONFIDENCE) -> Difference | None:
        """Returns by how much a point is better than the dense network in quality on `split`, negative if worse.

        Returns:
            None without a dense network, or where single seeds say nothing of the noise.
        """
        if self.dense is None:
            return None
        pair = (self.judged(point), self.judged(self.dense))
        return difference(*(pair if self.higher_is_better else pair[::-1]), confidence)

    def tolerance(self) -> float:
        """Returns the largest mean loss that is still level: dense's standard deviation, at least 1 % of its value."""
        if self.dense is None:
            return 0.0
        dense = self.judged(self.dense)
        return max(dense.deviation or 0.0, 0.01 * abs(dense.mean))

    def level(self, point: Point) -> bool:
        """Says whether a point is level with the dense network in quality on `split`.

        It is where its mean is at most `tolerance` worse, and it is not worse beyond the noise at 95 %.
        """
        mean, noise = self.against_dense(point, None), self.against_dense(point)
        return mean is not None and mean.mean >= -self.tolerance() and not (noise is not None and noise.high < 0)

    def smallest_level(self, cost: str = "bytes") -> Point | None:
        """Returns the compressed point of least mean `cost` that is level with the dense network, if any is."""
        level = [point for point in self.compressed if cost in point.costs and self.level(point)]
        return min(level, key=lambda point: point.costs[cost].mean, default=None)

    def ratio(self, point: Point, cost: str) -> float | None:
        """Returns the dense network's cost over the point's; None where either is missing or the latter zero."""
        if self.dense is None or cost not in point.costs or cost not in self.dense.costs:
            return None
        after = point.costs[cost].mean
        return self.dense.costs[cost].mean / after if after > 0 else None

    def advice(self, budget: Budget | None = None) -> Advice:
        """Returns what to choose and why, in plain words.

        Raises:
            SettingError: No point has a cost that the budget bounds.
        """
        from gossamer.frontier.advice import advise

        return advise(self, budget)

    def table(self, kind: Kind = "points") -> Table:
        """Returns one row a point, a cell, or a layer of a cell; it writes itself as Markdown or CSV.

        Raises:
            SettingError: An unknown kind.
        """
        from gossamer.frontier.tables import tabulate

        return tabulate(self, kind)

    def to_dataframe(self, kind: Kind = "cells") -> pandas.DataFrame:
        """Returns `table(kind)` as a pandas DataFrame.

        Raises:
            MissingExtraError: pandas is not installed.
            SettingError: An unknown kind.
        """
        return self.table(kind).to_dataframe()

    def export(
        self,
        choice: Point | Budget | None,
        path: str | Path,
        *,
        example: tuple[Any, ...] | None = None,
        model: nn.Module | None = None,
    ) -> dict[str, Any]:
        """Writes a network of the comparison: of the point's seeds, the best on the validation split.

        Args:
            choice: A point; or a budget (None: no bounds), for which `best` chooses, then only seeds whose own network
                is within it count.
            path: Ends in `.gossamer` for a copy of the saved network, else what `deploy.export` writes, such as
                `.onnx` or `.pt2`.
            example: The network's positional arguments; needed for all but `.gossamer`.
            model: An untouched instance of the network's class; needed for all but `.gossamer` where the network is
                none of the zoo.

        Returns:
            The record of the cell whose network it is.

        Raises:
            FileError: The network is not there, or `path` could not be written.
            SettingError: Nothing is within the budget, an example is missing, or the suffix is unknown.
        """
        from gossamer.frontier.networks import export

        return export(self, choice, Path(path), example, model)

    def to_json(self) -> dict[str, Any]:
        """Returns the whole comparison as a JSON object: the content of `run.json`."""
        return {**self.run, "cells": list(self.cells)}

    def save(self, path: str | Path) -> Path:
        """Writes `run.json`, whole or not at all."""
        return write_json(path, self.to_json())

    @classmethod
    def from_json(cls, value: Any, *, where: str = "run", folder: Path | None = None) -> Frontier:
        """Makes a frontier from the content of a `run.json`.

        Raises:
            DataError: It is not a run of this format; the message begins with `where`.
        """
        if not isinstance(value, dict) or not isinstance(value.get("cells"), list) or "metric" not in value:
            raise DataError(f"{where}: is not a gossamer run; expected a JSON object with 'cells' and 'metric'")
        if value.get("format") != FORMAT:
            raise DataError(f"{where}: has format {value.get('format')!r}; this version reads format {FORMAT}")
        for index, cell in enumerate(value["cells"]):
            if not isinstance(cell, dict) or not {"method", "seed"} <= cell.keys():
                raise DataError(f"{where}: cell {index} is not a record with 'method' and 'seed'; restore the file")
        run = {key: item for key, item in value.items() if key != "cells"}
        return cls(run=run, cells=tuple(value["cells"]), folder=folder)

    @classmethod
    def load(cls, path: str | Path) -> Frontier:
        """Reads a `run.json`, or the one in a folder.

        Raises:
            FileError: Missing, not JSON, or not a comparison of this format.
        """
        path = Path(path)
        path = path / "run.json" if path.is_dir() else path
        try:
            return cls.from_json(read_json(path), where=str(path), folder=path.parent)
        except DataError as error:
            raise FileError(str(error)) from None

    def _costs(self, cost: str | Sequence[str]) -> list[str]:
        """Returns the names of the costs asked for, each of which some point has."""
        names = [cost] if isinstance(cost, str) else list(cost)
        known = {name for point in self._points for name in point.costs}
        for name in names:
            if name not in known:
                raise SettingError(unknown("cost", name, known))
        if not any(all(name in point.costs for name in names) for point in self._points):
            raise SettingError(f"no point has all of {', '.join(names)}; ask for fewer costs")
        return names

    def _known(self, budget: Budget) -> list[Point]:
        bounds = budget.bounds()
        for name in bounds:
            if not any(name in point.costs for point in self._points):
                raise SettingError(f"budget: bounds {name}, which no network of this comparison has; drop the bound")
        found = [point for point in self._points if all(name in point.costs for name in bounds)]
        if not found:
            raise SettingError(f"budget: no network has all of {', '.join(bounds)}; give fewer bounds")
        return found


def _as_cost(point: Point) -> Any:
    from gossamer.cost import Cost

    return Cost.from_json(point.cost)
