"""Search the widths of a network and prune its weights in one training: the outcome needs no retraining.

You, Li, Sun, Ouyang & Lin, "SuperTickets: drawing task-agnostic lottery tickets from supernets via jointly architecture
searching and parameter pruning", ECCV 2022 (arXiv 2207.03677). While the network trains, a search makes it
narrower (`channel_search`), and every so often the smallest weights of the whole network are masked: 10 % of what there
is at first, 10 % more each time, up to the sparsity asked for. Which weights are masked is decided anew every time, and
`reactivation` says what becomes of those that were:

    stored    masked weights keep their values, which compete with the others next time: the authors' settings
    reset     all weights train on with their values until the next time: their `reset_mask`
    zero      all weights train on, the masked ones from zero
    none      what is masked stays so

From the last decision on, masks stay. Batch statistics are taken anew after each. Ours: the pruning of any network that
can be traced, and of a network without normalisations without the search. The search is a setting of its own, in whose
place another may stand; the authors' also chooses among operators and resolutions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.counting import count_macs
from gossamer.prune.allocation import Allocation, Global
from gossamer.prune.channel_search import ChannelScales, ChannelSearch
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import Granularity, SingleWeights
from gossamer.prune.masks import Masks, choose, require_fit, weights_for
from gossamer.prune.schedules import Progressive, Schedule
from gossamer.settings import bounded
from gossamer.structure.plan import remove_
from gossamer.structure.removal import Cut, Removal
from gossamer.tasks.task import Task
from gossamer.train.recalibrate import recalibrate_


@dataclass(frozen=True, kw_only=True)
class SuperTicket(Method):
    """Searches widths and prunes weights at once."""

    name = "supertickets"
    paper = "supertickets"
    knob = "sparsity"
    knobs = ("search", "reactivation", "schedule")
    sparsity: float = bounded(0.8, ge=0.0, lt=1.0)  # fraction of the weights removed of those that the search leaves
    search: ChannelSearch | None = field(default_factory=ChannelSearch)  # None: prune only
    schedule: Schedule = field(default_factory=Progressive)
    reactivation: Literal["stored", "reset", "zero", "none"] = "stored"
    allocation: Allocation = field(default_factory=Global)
    granularity: Granularity = field(default_factory=SingleWeights)
    calibration: int = bounded(10, ge=0)  # batches from which statistics are taken anew after a pruning
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense

    def __post_init__(self) -> None:
        """Checks that the choices fit together as well as the ranges."""
        super().__post_init__()
        require_fit(self.name, self.granularity, self.allocation, self.sparsity)

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> TicketTraining:
        """Begins; without epochs, prunes at once.

        Raises:
            ModelError: The model has no prunable weight, or a pattern matches none.
        """
        return TicketTraining(self, model, task, epochs=epochs)


class TicketTraining(Compression):
    """The state of one run of `SuperTicket`."""

    def __init__(self, method: SuperTicket, model: nn.Module, task: Task, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method, self._task = method, task
        self._steps = epochs * task.steps()
        self._plan = method.schedule.plan(self._steps, method.sparsity)
        self._step = 0
        self._done = 0  # prunings that are over
        self._extra = 0.0  # cost of recalibration at this step, in dense forward passes
        self._stored: dict[str, Tensor] = {}  # values of weights that are masked, between prunings
        self._removals: list[Removal] = []
        self._optimizer: Optimizer | None = None
        self._macs = count_macs(model, task.example()).total
        self._look()
        self._act(None)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = keep; empty where all weights train."""
        return dict(self._masks.keep)

    @property
    def settled(self) -> bool:
        """True after the last pruning."""
        return self._done == len(self._plan)

    def penalty(self) -> Tensor | None:
        """Returns the search's penalty; None once the network is pruned for good."""
        if self._scales is None or self.settled:
            return None
        return self._scales.penalty(self._step / max(self._steps, 1))

    def after_backward(self) -> None:
        """Masks gradients."""
        self._masks.apply_to_gradients()

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Prunes when the schedule says so, and masks the weights."""
        self._step += 1
        self._extra = 0.0
        self._optimizer = optimizer
        self._act(optimizer)
        self._masks.apply_to_weights()

    def after_epoch(self, epoch: int) -> None:
        """Cuts out channels that the search has found dead."""
        del epoch
        if self._scales is not None and not self.settled:
            removal = self._scales.cut(self._optimizer)
            if removal is not None:
                self._note(removal)

    def training_cost(self) -> float:
        """Returns that of a step of the network as wide and as dense as it is, and of recalibration at this one."""
        return 3.0 * self._width * self._share.of(self._masks) + self._extra

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns how many weights of each parameter stay; None before the last pruning."""
        return self._masks.nonzeros() if self.settled else None

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def notes(self) -> tuple[str, ...]:
        """Says where there is nothing to search."""
        if self._method.search is not None and (self._scales is None or not self._scales.groups):
            return ("No channel that may go has a scale of a normalisation, so weights were pruned and widths kept.",)
        return ()

    def report(self) -> dict[str, Any]:
        """Returns the share of the arithmetic that the search left, and how often it cut."""
        return {"width": self._width, "cuts": len(self._removals)}

    def finish(self) -> nn.Module:
        """Prunes what is still to be pruned and returns the model, whose removed weights are exactly zero."""
        if not self.settled:
            self._done = len(self._plan) - 1
            self._prune(self._method.sparsity, None)
        self._masks.apply_to_weights()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns counters, masks, stored weights and what was cut."""
        return {
            "step": self._step,
            "done": self._done,
            "masks": dict(self._masks.keep),
            "stored": dict(self._stored),
            "removals": [removal.to_json() for removal in self._removals],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned; an untouched network is made as narrow as it was then."""
        self._step, self._done = state["step"], state["done"]
        for record in state["removals"][len(self._removals) :]:
            removal = Removal.from_json(record)
            remove_(self.model, removal)
            self._removals.append(removal)
        self._look()
        self._masks.replace(state["masks"])
        parameters = dict(self.model.named_parameters())
        self._stored = {name: value.to(parameters[name].device) for name, value in state["stored"].items()}

    def _look(self) -> None:
        """Finds weights and scales of the network as it is now; masks are none."""
        method, example = self._method, self._task.example()
        self._masks = Masks(weights_for(method.granularity, self.model, self._task, method.layers, method.exclude))
        self._share = ForwardShare.count(self.model, example, self._masks)
        self._width = count_macs(self.model, example).total / max(self._macs, 1)
        self._scales = None if method.search is None else ChannelScales(method.search, self.model, example)

    def _note(self, removal: Removal) -> None:
        """Cuts masks and stored weights like the network, which has become smaller."""
        self._removals.append(removal)
        masks = cut_like(self._masks.keep, removal.cuts)
        self._stored = cut_like(self._stored, removal.cuts)
        self._look()
        self._masks.replace(masks)

    def _act(self, optimizer: Optimizer | None) -> None:
        """Prunes as often as the plan has it for this step."""
        while not self.settled and self._plan[self._done].step <= self._step:
            self._prune(self._plan[self._done].sparsity, optimizer)

    @torch.no_grad()
    def _prune(self, sparsity: float, optimizer: Optimizer | None) -> None:
        """Masks the smallest weights, those that were masked among them unless they are to stay so."""
        method, weights = self._method, self._masks.weights
        for weight in weights:
            if weight.name in self._stored:
                keep = self._masks.keep[weight.name]
                weight.weight.copy_(torch.where(keep, weight.weight, self._stored[weight.name]))
        scores = {weight.name: weight.weight.detach().abs() for weight in weights}
        chosen = choose(
            Masks(weights) if method.reactivation != "none" else self._masks,
            scores,
            granularity=method.granularity,
            allocation=method.allocation,
            sparsity=sparsity,
        )
        self._stored = {}
        if method.reactivation == "stored":
            self._stored = {weight.name: weight.weight.detach().clone() for weight in weights}
        self._masks.replace(chosen)
        values = [weight.weight.detach().clone() for weight in weights]
        self._masks.apply_to_weights()
        self._masks.apply_to_state(optimizer)
        self._done += 1
        self._extra += recalibrate_(self.model, self._task, method.calibration)
        if self.settled:
            self._stored = {}
        elif method.reactivation in {"reset", "zero"}:
            self._masks.clear()
            if method.reactivation == "reset":
                for weight, value in zip(weights, values, strict=True):
                    weight.weight.copy_(value)


def cut_like(tensors: dict[str, Tensor], cuts: tuple[Cut, ...]) -> dict[str, Tensor]:
    """Returns tensors, by parameter name, cut as the parameters are."""
    found = dict(tensors)
    for cut in cuts:
        if cut.tensor in found:
            positions = cut.positions().to(found[cut.tensor].device)
            found[cut.tensor] = found[cut.tensor].index_select(cut.dim, positions)
    return found


SUPERTICKETS = register(
    "supertickets",
    SuperTicket(),
    summary="Search widths under a penalty and mask ever more of the smallest weights, which may come back.",
)
