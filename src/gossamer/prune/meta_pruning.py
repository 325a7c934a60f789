"""Let a metanetwork rewrite a trained network so that it is easier to prune, fine-tune it, then remove channels.

Liu, Wang & Zhang, "Meta pruning via graph metanetworks: a (universal) meta learning framework for network pruning",
2025 (arXiv 2506.12041). The network is trained, read as a graph, rewritten in one forward pass of a metanetwork
(`prune.metanetwork`), fine-tuned, pruned by group magnitude over all layers together, and fine-tuned again. A
metanetwork is trained once, on a few networks, and then serves others:

    meta = train_metanetwork([TrainedNetwork(net, task), ...])
    meta.save("meta.gossamer")
    gossamer.method("meta-pruning", metanetwork="meta.gossamer")

Without one, it is trained on the very network that it is to rewrite, in the middle of the run. Ours: one mapping for
all networks; any method with a sparsity may prune; channels go at once, where the paper removes them in 200 steps
without training in between.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.errors import SettingError
from gossamer.prune.channels import ChannelPruning
from gossamer.prune.meta_training import MetaTraining, TrainedNetwork, train_metanetwork
from gossamer.prune.metanetwork import Metanetwork, MetanetworkShape
from gossamer.prune.schedules import OneShot
from gossamer.settings import bounded
from gossamer.structure import AllTogether, plan
from gossamer.structure.network_graph import network_graph
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class MetaPruning(Method):
    """Trains, has a metanetwork rewrite the network, and leaves the rest to another method."""

    name = "meta-pruning"
    paper = "meta-pruning"
    knob = "sparsity"
    knobs = ("pretrain",)
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)  # fraction that the pruning removes: of channels, by default
    metanetwork: Path | None = None  # a file made by `Metanetwork.save`; None trains one on this network
    pretrain: float = bounded(0.4, ge=0.0, le=1.0)  # fraction of the epochs before it; 0 for a trained network
    shape: MetanetworkShape = field(default_factory=MetanetworkShape)  # of the metanetwork, where one is trained
    learning: MetaTraining = field(default_factory=MetaTraining)  # how it is trained, where it is
    pruning: Method = field(
        default_factory=lambda: ChannelPruning(schedule=OneShot(at=0.4), allocation=AllTogether(relative_to="max"))
    )

    def __post_init__(self) -> None:
        """Checks that the pruning has a sparsity, as well as the ranges."""
        super().__post_init__()
        if "sparsity" not in {field.name for field in dataclasses.fields(self.pruning)}:
            raise SettingError(
                f"meta-pruning: pruning {self.pruning.name!r} has no sparsity; take a method that has, for example "
                "'channel-pruning'"
            )

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> MetaPrunedTraining:
        """Begins; a network of which no channel can be removed is refused at once.

        Raises:
            ModelError: No channel may go, or the network has no layer to map; the reasons are named.
            FileError: The metanetwork's file is missing or damaged.
        """
        plan(model, task.example(), ratio=0.0)
        return MetaPrunedTraining(self, model, task, epochs=epochs)


class MetaPrunedTraining(Compression):
    """The state of one run of `MetaPruning`: training, then that of the pruning of the rewritten network."""

    def __init__(self, method: MetaPruning, model: nn.Module, task: Task, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._task = task
        self._meta = None if method.metanetwork is None else Metanetwork.load(method.metanetwork)
        self._first = round(method.pretrain * epochs)  # epochs before the metanetwork
        self._seed = int(torch.randint(2**31, ()))
        self._pruning: Compression | None = None
        self._optimizer: Optimizer | None = None
        self._handed: dict[str, Tensor] = {}  # weights that the pruning began with, where it changed them at once
        self._report: dict[str, Any] = {}
        self._extra = 0.0  # cost of training the metanetwork, in dense forward passes, still to be told
        if not self._first:
            self._rewrite(None)

    @property
    def settled(self) -> bool:
        """True once the pruning is."""
        return self._pruning is not None and self._pruning.settled

    def after_loss(self, loss: Tensor) -> None:
        """Tells the pruning."""
        if self._pruning is not None:
            self._pruning.after_loss(loss)

    def penalty(self) -> Tensor | None:
        """Returns what the pruning says, None before it."""
        return None if self._pruning is None else self._pruning.penalty()

    def after_backward(self) -> None:
        """Tells the pruning."""
        if self._pruning is not None:
            self._pruning.after_backward()

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Tells the pruning; remembers the optimiser before it, for its state is to be forgotten."""
        self._optimizer = optimizer
        if self._pruning is not None:
            self._pruning.after_step(optimizer)

    def after_epoch(self, epoch: int) -> None:
        """Rewrites the network when it is time to, or tells the pruning."""
        if self._pruning is not None:
            self._pruning.after_epoch(epoch - self._first)
        elif epoch + 1 >= self._first:
            self._rewrite(self._optimizer)

    def training_cost(self) -> float:
        """Returns 3 before the pruning and what that says after; once, also the passes that the metanetwork took."""
        extra, self._extra = self._extra, 0.0
        return extra + (3.0 if self._pruning is None else self._pruning.training_cost())

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns what the pruning says, None before it."""
        return None if self._pruning is None else self._pruning.target_nonzeros()

    def notes(self) -> tuple[str, ...]:
        """Names what no metanetwork rewrote, and returns what the pruning says."""
        left = self._report.get("left", [])
        notes = () if self._pruning is None else self._pruning.notes()
        if left:
            return (f"{len(left)} parameters are not part of the network's graph, {left[0]} among them.", *notes)
        return notes

    def report(self) -> dict[str, Any]:
        """Returns the size of the graph, how far weights moved, and what the pruning reports."""
        inner = {} if self._pruning is None else self._pruning.report()
        return {**self._report, **({"pruning": inner} if inner else {})}

    def finish(self) -> nn.Module:
        """Rewrites and prunes if that is still to be done, and returns the model."""
        if self._pruning is None:
            self._rewrite(None)
        assert self._pruning is not None
        self.model = self._pruning.finish()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the report, the state of the pruning, and the weights it began with where it has changed them."""
        return {
            "seed": self._seed,
            "extra": self._extra,
            "report": dict(self._report),
            "handed": dict(self._handed),
            "pruning": None if self._pruning is None else self._pruning.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._seed, self._extra, self._report = state["seed"], state["extra"], dict(state["report"])
        self._handed = dict(state["handed"])
        if state["pruning"] is not None:
            if self._pruning is None:
                if self._handed:
                    self.model.load_state_dict(self._handed)
                self._prune()
            assert self._pruning is not None
            self._pruning.load_state_dict(state["pruning"])

    def _rewrite(self, optimizer: Optimizer | None) -> None:
        """Gives the network the metanetwork's weights, and goes over to the pruning."""
        method, model = self._method, self.model
        if self._meta is None:
            self._meta = train_metanetwork(
                [TrainedNetwork(model, self._task)], method.shape, method.learning, seed=self._seed
            )
            self._extra = 3.0 * method.learning.epochs * self._task.steps()
        graph = network_graph(model, self._task.example())
        parameters = dict(model.named_parameters())
        moved = size = 0.0
        with torch.no_grad():
            for name, value in self._meta.rewrite(graph, model).items():
                moved += float((value.to(parameters[name]) - parameters[name]).square().sum())
                size += float(parameters[name].square().sum())
                parameters[name].copy_(value)
        self._report = {
            "nodes": graph.num_nodes,
            "edges": graph.num_edges,
            "moved": (moved / max(size, 1e-30)) ** 0.5,  # norm of what changed over norm of what was there
            "left": list(graph.left),
        }
        for state in [] if optimizer is None else optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.zero_()
        before = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._prune()
        if self.settled:
            self._handed = before

    def _prune(self) -> None:
        """Starts the pruning, for the epochs that are left."""
        method = self._method.pruning.replace(sparsity=self._method.sparsity)
        self._pruning = method.start(self.model, self._task, epochs=max(self.epochs - self._first, 0))


META_PRUNING = register(
    "meta-pruning",
    MetaPruning(),
    summary="Have a trained metanetwork rewrite the network to be easier to prune, then remove channels.",
)
