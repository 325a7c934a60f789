"""A finished network with what it cost and what it can do, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from gossamer.cost import Cost
from gossamer.deploy.accelerate import Accelerated
from gossamer.deploy.engine import Engine
from gossamer.deploy.store import save
from gossamer.graph import KeptEdges
from gossamer.tasks.task import Task
from gossamer.train import History

if TYPE_CHECKING:
    from gossamer.compression.method import Method


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """What `compress` returns.

    Attributes:
        model: The compressed network, plain modules with exact zeros; trains, saves and exports like any other.
        task: What it was made for, and is evaluated and measured on: the task that came in, on the edges that stay.
        kept_edges: Which edges those are, where a method removed some; a file keeps them too.
        accelerated: The same network in PyTorch with a sparse kernel in each layer where that measured faster; None
            where acceleration was not asked for.
        engine: The same network on the engine, compiled for the task's example; None where it does not run there, or
            was not to be timed.
        label: The method's name as the caller wrote it.
        methods: The settings of the methods applied, in order.
        seed: The seed of everything random in the run.
        requested: The value of the method's knob (its sparsity); None where it has none.
        quality_before, quality: Metric name to value on the test split, of the network that came in and of `model`.
        validation: The same on the validation split, of `model`; choices are made on this one.
        cost_before, cost: What the network that came in takes, and what the compressed one takes; latency, MACs and
            memory of `deployed`, sizes of `model`.
        histories: One training history a method.
        met_budget: Whether `cost` is within the budget asked for; None without a budget.
        notes: What a reader of the result must know, a sentence each.
        report: What the last method measured on the way, a JSON object; {} for most.
    """

    model: nn.Module
    task: Task
    kept_edges: KeptEdges | None
    accelerated: Accelerated | None
    label: str
    methods: tuple[Method, ...]
    seed: int
    requested: float | None
    quality_before: dict[str, float]
    quality: dict[str, float]
    validation: dict[str, float]
    cost_before: Cost
    cost: Cost
    histories: tuple[History, ...]
    met_budget: bool | None = None
    notes: tuple[str, ...] = field(default=())
    report: dict[str, Any] = field(default_factory=dict)
    engine: Engine | None = None

    @property
    def deployed(self) -> nn.Module:
        """The network as it should run here in PyTorch: the accelerated one where there is one."""
        return self.model if self.accelerated is None else self.accelerated.model

    @property
    def sparsity(self) -> float:
        """Fraction of the weights (parameters with two or more dimensions) that is zero, in [0, 1]."""
        weights = [parameter for _, _, parameter in weights_of(self.model)]
        total = sum(weight.numel() for weight in weights)
        return 1.0 - sum(int(weight.count_nonzero()) for weight in weights) / total if total else 0.0

    @property
    def edges_removed(self) -> float | None:
        """Fraction of the graph's edges that is gone, in [0, 1); None where no method looked at them."""
        if self.kept_edges is None:
            return None
        return 1.0 - int(self.kept_edges.keep.sum()) / max(len(self.kept_edges.keep), 1)

    def layers(self) -> list[dict[str, Any]]:
        """Returns one record a weight: name, kind, shape, sizes, sparsity, and the kernel chosen and why."""
        return layer_table(self.model, self.accelerated, self.engine)

    def save(self, path: str | Path) -> Path:
        """Writes the network and the record of how it was made to one file; `gossamer.load` reads it back.

        Where edges were removed, the file keeps which: `gossamer.load_task` gives the task on those that stay.

        Raises:
            FileError: The file could not be written; nothing is left behind.
        """
        metadata = {"method": self.label, "seed": self.seed, "settings": self._settings()}
        return save(path, self.model, metadata=metadata, kept_edges=self.kept_edges)

    def to_json(self) -> dict[str, Any]:
        """Returns everything but the weights as a JSON object."""
        return {
            "method": self.label,
            "settings": self._settings(),
            "sparsity": self.requested,
            "measured_sparsity": self.sparsity,
            "edges_removed": self.edges_removed,
            "seed": self.seed,
            "quality_before": self.quality_before,
            "quality": self.quality,
            "validation": self.validation,
            "cost_before": self.cost_before.to_json(),
            "cost": self.cost.to_json(),
            "layers": self.layers(),
            "history": self.histories[-1].to_json() if self.histories else None,
            "met_budget": self.met_budget,
            "notes": list(self.notes),
            "report": self.report,
        }

    def _settings(self) -> list[dict[str, Any]]:
        return [method.to_json() for method in self.methods]


def weights_of(model: nn.Module) -> Iterator[tuple[str, str, nn.Parameter]]:
    """Yields (name, kind of its module, parameter) for every parameter of two or more dimensions that is not empty."""
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.dim() >= 2 and parameter.numel():
                yield (f"{path}.{name}" if path else name), type(module).__name__, parameter


def layer_table(
    model: nn.Module, accelerated: Accelerated | None, engine: Engine | None = None
) -> list[dict[str, Any]]:
    """Returns one record a weight of `model`: its layer's kernel in PyTorch and why, and on the engine."""
    on_engine = {} if engine is None else engine.kernels
    choices = {} if accelerated is None else {choice.layer: choice for choice in accelerated.choices}
    table = []
    for name, kind, weight in weights_of(model):
        choice = choices.get(name.rpartition(".")[0])
        nonzeros = int(weight.count_nonzero())
        table.append(
            {
                "name": name,
                "kind": kind,
                "shape": list(weight.shape),
                "parameters": weight.numel(),
                "nonzeros": nonzeros,
                "sparsity": 1.0 - nonzeros / weight.numel(),
                "kernel": choice.kernel if choice else "dense",
                "reason": choice.reason if choice else "not timed",
                "dense_ms": choice.dense_ms if choice else None,
                "kernel_ms": choice.kernel_ms if choice else None,
                "engine": on_engine.get(name),
            }
        )
    return table
