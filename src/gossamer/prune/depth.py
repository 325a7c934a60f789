"""Train, leave out the blocks that are worth least, train the shallower network; or activations, so that layers merge.

`drop-blocks` leaves out residual branches, whatever the network writes them as, by the measured increase of the loss or
by how alike their input and output are (Men et al., "ShortGPT: layers in large language models are more redundant than
you expect", 2024). `merge-layers` leaves out activations between two linear operators that would make one smaller
layer, and merges them after training, as Fu et al., "DepthShrinker", ICML 2022, do inside the blocks of a MobileNet.
Both check what they do against the network with the branch at zero, or with both layers (`structure`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.prune.schedules import OneShot
from gossamer.settings import bounded
from gossamer.structure import DepthPlan, Dissimilarity, LossIncrease, Worth, mergeable, plan_depth
from gossamer.structure.edits import edit_
from gossamer.tasks.task import Task
from gossamer.train.optimizers import replace_parameter


@dataclass(frozen=True, kw_only=True)
class DepthPruning(Method):
    """Leaves out branches or activations at one point of the training; merges what can be merged at its end."""

    name = "depth-pruning"
    knob = "sparsity"
    knobs = ("worth", "at")
    sparsity: float = bounded(0.5, ge=0.0, lt=1.0)  # fraction of what could be left out that is, rounded
    what: Literal["branches", "activations"] = "branches"
    worth: Worth = field(default_factory=LossIncrease)
    at: float = bounded(0.5, ge=0.0, le=1.0)  # fraction of the training at which they go; 0 = before it, 1 = after it
    merge: bool = True  # whether consecutive linear operators become one in the end, where that is smaller
    keep: tuple[str, ...] = ()  # names of blocks that stay
    batches: int = bounded(8, ge=1)  # training batches by which the worth is measured

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> DepthTraining:
        """Begins; a network of which nothing can be left out is refused at once.

        Raises:
            ModelError: It has no branch, or no activation, that could be; the reasons are named.
        """
        plan_depth(model, task.example(), ratio=0.0, what=self.what, worth=Dissimilarity(), keep=self.keep)
        return DepthTraining(self, model, task, epochs=epochs)


class DepthTraining(Compression):
    """The state of one run of `DepthPruning`."""

    def __init__(self, method: DepthPruning, model: nn.Module, task: Task, *, epochs: int) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._task = task
        self._when = OneShot(at=method.at).plan(epochs * task.steps(), method.sparsity)[0].step
        self._step = 0
        self._plan: DepthPlan | None = None
        self._extra = 0.0  # cost of measuring worths at this step, in dense forward passes
        self._merges: dict[str, Any] = {}
        self._act(None)

    @property
    def settled(self) -> bool:
        """True once the blocks are gone."""
        return self._plan is not None

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Leaves the blocks out when it is time, and takes their parameters from the optimiser."""
        self._step += 1
        self._extra = 0.0
        self._act(optimizer)

    def training_cost(self) -> float:
        """Returns that of a step of the network as deep as it is now, plus the passes that measuring took."""
        share = 1.0 if self._plan is None else self._plan.cost.macs / max(self._plan.cost_before.macs, 1)
        return 3.0 * share + self._extra

    def report(self) -> dict[str, Any]:
        """Returns the blocks with their worths, what was refused and why, and what was merged."""
        if self._plan is None:
            return {}
        found = self._plan.to_json()
        return {"blocks": found["blocks"], "refused": found["refused"], **self._merges}

    def finish(self) -> nn.Module:
        """Leaves out what is still to be left out, merges, and returns the network."""
        if not self.settled:
            self._leave_out(None)
        if self._method.merge:
            merges, refused = mergeable(self.model, self._task.example())
            self.model = edit_(self.model, merges)
            self._merges = {"merged": [merge.to_json() for merge in merges], "not_merged": refused}
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the step and the plan that was carried out."""
        return {"step": self._step, "plan": None if self._plan is None else self._plan.to_json()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned; an untouched network is made as shallow as it was then."""
        self._step = state["step"]
        if state["plan"] is not None and self._plan is None:
            self._plan = DepthPlan.from_json(state["plan"])
            self._plan.apply_(self.model)

    def _act(self, optimizer: Optimizer | None) -> None:
        if not self.settled and self._step >= self._when:
            self._leave_out(optimizer)

    def _leave_out(self, optimizer: Optimizer | None) -> None:
        method = self._method
        before = list(self.model.parameters())
        self._plan = plan_depth(
            self.model,
            self._task.example(),
            ratio=method.sparsity,
            what=method.what,
            worth=method.worth,
            losses=self._losses,
            keep=method.keep,
        )
        self._extra = float(method.worth.passes(len(self._plan.blocks)) * min(method.batches, self._task.steps()))
        self._plan.apply_(self.model)
        left = {id(parameter) for parameter in self.model.parameters()}
        for parameter in before:
            if optimizer is not None and id(parameter) not in left:
                replace_parameter(optimizer, parameter, [])

    def _losses(self, model: nn.Module) -> Iterator[Tensor]:
        for seen, batch in enumerate(self._task.batches("train"), start=1):
            yield self._task.loss(model, batch)
            if seen == self._method.batches:
                return


DROP_BLOCKS = register(
    "drop-blocks",
    DepthPruning(),
    summary="Train, leave out the residual branches without which the loss grows least, train the shallower network.",
)
MERGE_LAYERS = register(
    "merge-layers",
    DepthPruning(what="activations"),
    summary="Train, leave out activations between linear layers, train on, and merge the layers into one.",
)
