"""Graph lottery tickets: masks on edges and on weights, learned together; the lowest go, what stays starts over.

Chen, Sui, Chen, Zhang & Wang, "A unified lottery ticket hypothesis for graph neural networks", ICML 2021: the loss is

    L({m_g ⊙ A, X}, m_θ ⊙ Θ) + γ₁ ‖m_g‖₁ + γ₂ ‖m_θ‖₁

and a round (unified GNN sparsification) trains Θ, m_g and m_θ from one, removes the lowest 5 % of the edges' masks and
20 % of the weights', over all layers together, and puts what stays of Θ back to its initial values. The masks are those
of the epoch with the best validation. After the last round the ticket is trained without masks, on the edges that stay.

Ours: both directions of an edge share a mask and self loops have none; Adam moves the masks at a rate of their own,
without weight decay; masks of edges stay at or above 0, as degrees are sums of them; all rounds and the final training
share one budget of epochs, in equal parts of some length; of several graphs each loses the same share of its edges. In
gossamer's attention a mask stands before the softmax as a factor of exp(e), so that 0 is no edge, where the authors
multiply e.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression, Method
from gossamer.compression.registry import register
from gossamer.counting import count_macs
from gossamer.graph.sparsify.sparsifier import kept
from gossamer.prune.allocation import Global
from gossamer.prune.edge_masks import EdgeMasks, MaskedTask, require_edges_seen
from gossamer.prune.forward_share import ForwardShare
from gossamer.prune.granularity import SingleWeights
from gossamer.prune.masks import Masks, choose
from gossamer.prune.selection import top
from gossamer.prune.sparsify_edges import edges_report, isolation_note, require_graphs
from gossamer.prune.weights import PrunableWeight, prunable_weights
from gossamer.settings import bounded
from gossamer.tasks.task import Task

_NOISE = 1e-5  # of masks at the start of a round, as in the authors' code: equal masks are ranked by chance


@dataclass(frozen=True)
class Round:
    """One removal: after `step` training steps, down to these fractions of all weights and edges."""

    step: int
    sparsity: float
    edges_removed: float


@dataclass(frozen=True, kw_only=True)
class GraphLottery(Method):
    """Removes weights down to `sparsity`, and as many edges as go in as many rounds."""

    name = "graph-lottery"
    paper = "graph-lottery-tickets"
    knob = "sparsity"
    knobs = ("edge_share", "weight_share", "edge_penalty", "weight_penalty", "rate")
    needs_graph = True
    sparsity: float = bounded(0.9, ge=0.0, lt=1.0)  # fraction of the prunable weights removed in the end
    weight_share: float = bounded(0.2, gt=0.0, lt=1.0)  # of the weights that are left, removed each round
    edge_share: float = bounded(0.05, ge=0.0, lt=1.0)  # of the edges that are left, removed each round
    weight_penalty: float = bounded(0.01, ge=0.0)  # γ₂
    edge_penalty: float = bounded(0.01, ge=0.0)  # γ₁
    rate: float = bounded(0.01, gt=0.0)  # learning rate of the masks
    least_steps: int = bounded(50, ge=1)  # of a part of the training; rounds that would have fewer are made together
    take: Literal["best", "last"] = "best"  # the masks of which epoch of a round, by validation
    layers: tuple[str, ...] = ("*",)  # patterns of parameter or module names to prune
    exclude: tuple[str, ...] = ()  # patterns of those to leave dense

    def rounds(self, epochs: int, steps: int) -> tuple[Round, ...]:
        """Returns the removals of a training; one at the start where there are fewer than two epochs.

        R = ln(1 − sparsity) / ln(1 − weight_share) rounds reach the sparsity, and 1 − (1 − edge_share)^R of the edges.
        The training is cut into ⌈R⌉ + 1 parts; the last removal is as large as what is missing. Where parts would have
        fewer than `least_steps`, too few to learn masks or to train what stays, rounds are made together.

        Args:
            epochs: Of the training.
            steps: An epoch.
        """
        exact = math.log1p(-self.sparsity) / math.log1p(-self.weight_share)
        count = math.ceil(round(exact, 6))
        removals = min(count, max(epochs * steps // self.least_steps - 1, 1))
        found: dict[int, Round] = {}
        for i in range(1, removals + 1):
            epoch = min(max(round(epochs * i / (removals + 1)), 1), epochs - 1) if epochs > 1 else 0
            done = exact if i == removals else count * i // removals
            sparsity = self.sparsity if i == removals else 1.0 - (1.0 - self.weight_share) ** done
            found[epoch] = Round(epoch * steps, sparsity, 1.0 - (1.0 - self.edge_share) ** done)
        return tuple(found.values())

    def start(self, model: nn.Module, task: Task, *, epochs: int) -> TicketSearch:
        """Begins the first round.

        Raises:
            ModelError: The task has no graph, the model has no prunable weight or does not look at the edges, or a
                pattern matches none.
        """
        require_graphs(self, task)
        return TicketSearch(self, model, task, prunable_weights(model, self.layers, self.exclude), epochs=epochs)


class TicketSearch(Compression):
    """The state of one run of `GraphLottery`; while masks are learned the parameters hold m_θ ⊙ Θ between the steps."""

    def __init__(
        self, method: GraphLottery, model: nn.Module, task: Task, weights: tuple[PrunableWeight, ...], *, epochs: int
    ) -> None:
        super().__init__(model, epochs=epochs)
        self._method = method
        self._masks = Masks(weights)
        self._edges = EdgeMasks(task)
        self.task = self._masked = MaskedTask(task, self._edges)
        self._steps = task.steps()
        self._plan = method.rounds(epochs, self._steps)
        self._share = ForwardShare.count(model, task.example(), self._masks)
        self._whole = self._macs = count_macs(model, task.example()).total  # of a call on all edges, and on those left
        self._step = 0
        self._done = 0  # rounds that are over
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        self._snapshot = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._number: dict[str, Tensor] = {}  # the weights' masks
        self._weight: dict[str, Tensor] = {}  # the weights themselves
        self._adam = torch.optim.Adam([self._edges.values], lr=method.rate)
        self._best: tuple[float, Tensor, dict[str, Tensor]] | None = None  # validation, masks of edges and of weights
        self._report: list[dict[str, Any]] = []
        require_edges_seen(method.name, model, self._masked.to(self._device()))
        if self._plan and self._plan[0].step:
            self._begin()
        else:
            self._edges.learning = False
            if self._plan:
                self._remove(None)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name to mask, bool, True = keep; empty before the first removal."""
        return dict(self._masks.keep)

    @property
    def settled(self) -> bool:
        """True after the last removal."""
        return self._done == len(self._plan)

    @torch.no_grad()
    def after_backward(self) -> None:
        """Moves the masks by their gradients and gives the weights theirs; after the last round masks gradients."""
        if self.settled:
            self._masks.apply_to_gradients()
            return
        method, edges = self._method, self._edges.values
        gradient = torch.zeros_like(edges) if edges.grad is None else edges.grad
        edges.grad = _over_processes(gradient) + method.edge_penalty * edges.sign()
        for weight in self._masks.weights:
            value, number = self._weight[weight.name], self._number[weight.name]
            number.grad = method.weight_penalty * number.sign()
            weight.weight.copy_(value)
            if weight.weight.grad is not None:
                number.grad += weight.weight.grad * value
                weight.weight.grad.mul_(number)
        self._adam.step()
        self._adam.zero_grad()
        edges.clamp_(min=0.0)
        self._clear_removed()

    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Masks the weights; at the end of an epoch looks at the masks, at the end of a round removes and rewinds."""
        self._step += 1
        if self.settled:
            self._masks.apply_to_weights()
            return
        self._hide()
        if self._method.take == "best" and self._step % self._steps == 0:
            self._look()
        if self._step >= self._plan[self._done].step:
            self._remove(optimizer)

    def training_cost(self) -> float:
        """Returns 3·f_S / f_D on the edges left; while masks are learned, also the products of the edges' gradient."""
        left = self._macs / self._whole
        network = 3.0 * (self._share.of(self._masks) - (1.0 - left))
        sums = left - sum(self._share.shares.values())
        return network + (0.0 if self.settled else max(sums, 0.0))

    def target_nonzeros(self) -> dict[str, int] | None:
        """Returns how many weights of each parameter stay; None before the last removal."""
        return self._masks.nonzeros() if self.settled else None

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._masks.report()

    def notes(self) -> tuple[str, ...]:
        """Says where training was too short, which edges went by chance, and how many nodes have none left."""
        said = []
        wanted = len(self._method.rounds(10**6, 1))
        if self.epochs and wanted > len(self._plan):
            said.append(
                f"{wanted} rounds were made as {len(self._plan)}, since {self.epochs} epochs have no more parts; train "
                "for more epochs."
            )
        if len(self._edges.counts) > 1 and self._report:
            said.append("Of graphs that are not trained on, edges went by chance: their masks have no gradient.")
        return (*said, *isolation_note(self.report()))

    def report(self) -> dict[str, Any]:
        """Returns how many edges there were and are, isolated nodes, and of each round what went and its validation."""
        return {**edges_report(self._edges.kept(), isolated=self._edges.isolated()), "rounds": list(self._report)}

    def finish(self) -> nn.Module:
        """Removes what is still missing and returns the model; `task` is then the one on the edges that stay."""
        if not self.settled:
            self._done = len(self._plan) - 1  # all that is missing, by the masks as they are
            self._remove(None, rewind=False)
        self._masks.apply_to_weights()
        self.task = self._edges.remaining()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns counters, all masks, weights, the masks' optimiser, the snapshot and the state of chance."""
        return {
            "step": self._step,
            "done": self._done,
            "masks": dict(self._masks.keep),
            "keep": self._edges.keep,
            "edges": self._edges.values.detach(),
            "number": {name: value.detach() for name, value in self._number.items()},
            "weight": dict(self._weight),
            "adam": self._adam.state_dict(),
            "best": self._best,
            "snapshot": dict(self._snapshot),
            "report": list(self._report),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step, self._done = state["step"], state["done"]
        self._masks.clear()
        self._masks.replace(state["masks"])
        self._edges.remove(state["keep"])
        self._edges.set(state["edges"])
        self._edges.learning = not self.settled
        self._number, self._weight = dict(state["number"]), dict(state["weight"])
        self._adam = self._new_adam()
        self._adam.load_state_dict(state["adam"])
        self._best, self._snapshot = state["best"], dict(state["snapshot"])
        self._report = list(state["report"])
        self._generator.set_state(state["generator"])
        self._count()

    @torch.no_grad()
    def _begin(self) -> None:
        """Begins a round: all masks at one, but for a little noise, and hides the weights behind them."""
        self._edges.set(self._ones(self._edges.values))
        self._edges.learning = True
        self._weight = {weight.name: weight.weight.detach().clone() for weight in self._masks.weights}
        self._number = {name: self._ones(value) for name, value in self._weight.items()}
        self._best = None
        self._adam = self._new_adam()
        self._clear_removed()
        self._hide(remember=False)

    def _new_adam(self) -> torch.optim.Adam:
        return torch.optim.Adam([self._edges.values, *self._number.values()], lr=self._method.rate)

    def _ones(self, like: Tensor) -> Tensor:
        noise = torch.rand(like.shape, generator=self._generator).to(like.device)
        return 1.0 + _NOISE * (2.0 * noise - 1.0)

    @torch.no_grad()
    def _clear_removed(self) -> None:
        """Holds the masks of what is gone at zero."""
        self._edges.values.masked_fill_(~self._edges.keep, 0.0)
        for weight in self._masks.weights:
            if weight.name in self._masks.keep:
                self._number[weight.name].masked_fill_(~self._masks.keep[weight.name], 0.0)

    @torch.no_grad()
    def _hide(self, *, remember: bool = True) -> None:
        """Puts m_θ ⊙ Θ in the place of Θ, which is remembered."""
        for weight in self._masks.weights:
            if remember:
                self._weight[weight.name] = weight.weight.detach().clone()
            weight.weight.copy_(self._weight[weight.name] * self._number[weight.name])

    def _look(self) -> None:
        """Remembers the masks if no epoch of this round did better on validation."""
        task = self._masked.to(self._device())
        value = task.evaluate(self.model, "val")[task.metric] * (1.0 if task.higher_is_better else -1.0)
        if self._best is None or value > self._best[0]:
            numbers = {name: number.detach().clone() for name, number in self._number.items()}
            self._best = value, self._edges.values.detach().clone(), numbers

    @torch.no_grad()
    def _remove(self, optimizer: Optimizer | None, *, rewind: bool = True) -> None:
        """Ends a round: removes the lowest masks, rewinds, and begins the next round or the training of the ticket."""
        now = self._plan[self._done]
        value, edges, numbers = self._best or (None, self._edges.values.detach(), self._number)
        if self._step and not rewind:
            for weight in self._masks.weights:
                weight.weight.copy_(self._weight[weight.name])
        scores = {name: number.detach().abs() for name, number in numbers.items()}
        if not self._step:  # nothing was learned: the smallest weights go, and edges by chance
            scores = {weight.name: weight.weight.detach().abs() for weight in self._masks.weights}
            edges = self._ones(edges)
        self._masks.replace(
            choose(self._masks, scores, granularity=SingleWeights(), allocation=Global(), sparsity=now.sparsity)
        )
        self._edges.remove(self._lowest_removed(edges, now.edges_removed))
        sign = 1.0 if self._masked.higher_is_better else -1.0
        self._report.append(
            {
                "step": self._step,
                "sparsity": now.sparsity,
                "edges_removed": 1.0 - float(self._edges.keep.double().mean()),
                "val": None if value is None else sign * value,
            }
        )
        self._done += 1
        if rewind and self._step:
            self._rewind(optimizer)
        self._masks.apply_to_weights()
        self._count()
        if not self.settled:
            self._begin()
            return
        self._edges.learning = False
        self._number, self._weight, self._best = {}, {}, None
        self._adam = torch.optim.Adam([self._edges.values], lr=self._method.rate)

    def _lowest_removed(self, edges: Tensor, removed: float) -> Tensor:
        """Returns which links stay, (L,) booleans: in each graph the highest masks."""
        score = edges.masked_fill(~self._edges.keep, -1.0)
        parts = torch.split(score, self._edges.counts)
        return torch.cat([top(part, kept(len(part), removed)) for part in parts]) & self._edges.keep

    @torch.no_grad()
    def _rewind(self, optimizer: Optimizer | None) -> None:
        """Puts the initial weights and buffers back and forgets what the optimiser remembers."""
        for name, value in self.model.state_dict().items():
            value.copy_(self._snapshot[name])
        for state in [] if optimizer is None else optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.zero_()

    def _count(self) -> None:
        """Counts a call on the edges that are left."""
        self._macs = count_macs(self.model, self._edges.remaining().to(self._device()).example()).total

    def _device(self) -> torch.device:
        return self._masks.weights[0].weight.device


def _over_processes(gradient: Tensor) -> Tensor:
    """Returns the mean of a gradient over all processes that train."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(gradient)
        gradient /= torch.distributed.get_world_size()
    return gradient


GRAPH_LOTTERY = register(
    "graph-lottery",
    GraphLottery(),
    summary="Learn masks on edges and weights together, remove the lowest, rewind; several rounds, 5 % and 20 % each.",
)
