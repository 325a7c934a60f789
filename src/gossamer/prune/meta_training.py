"""Trains a metanetwork: what it makes of networks should still answer well, and be sparse in groups.

After Liu, Wang & Zhang, "Meta pruning via graph metanetworks", 2025 (arXiv 2506.12041). One step, for one network:

1. θ = decode(meta(encode(network)))
2. the gradient of Σ loss(network with θ, batch) over all training batches, in eval mode, with respect to θ
3. plus pressure · γ_c · w for each weight w of each channel c, where γ_c = steepness^((max I - I_c) / (max I - min I))
   and I_c is the root of the mean squared norm of the channel's weights in the layers of its group, over the largest
4. is carried back through θ into the metanetwork, which AdamW moves

Biases are left out of step 3. Channels are the groups of `structure.groups`: what pruning would remove together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gossamer.counting import evaluating
from gossamer.errors import ModelError, TrainingError
from gossamer.prune.metanetwork import Metanetwork, MetanetworkShape
from gossamer.settings import Settings, bounded
from gossamer.structure.groups import Group, Member, groups
from gossamer.structure.network_graph import NetworkGraph, network_graph
from gossamer.structure.scores import unit_sums
from gossamer.structure.trace import trace
from gossamer.tasks.task import Task

Watch = Callable[[int, float, Metanetwork], None]


@dataclass(frozen=True, kw_only=True)
class MetaTraining(Settings):
    """How a metanetwork is trained; the paper's settings but for the number of epochs, which it chooses by eye."""

    epochs: int = bounded(10, ge=0)  # over the networks; the paper's up to 100. Later ones make networks sparser
    learning_rate: float = bounded(1e-3, gt=0.0)
    weight_decay: float = bounded(5e-4, ge=0.0)
    slower_from: int = bounded(10, ge=0)  # epoch from which on the learning rate is a tenth; the paper's 3 or 10
    pressure: float = bounded(10.0, ge=0.0)  # how strongly weights of channels are pressed towards zero
    steepness: float = bounded(16.0, ge=1.0)  # how much more strongly the weakest channel of a group than the strongest


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that a metanetwork learns from, trained, and what it must do."""

    model: nn.Module
    task: Task


def train_metanetwork(
    cases: Sequence[TrainedNetwork],
    shape: MetanetworkShape | None = None,
    training: MetaTraining | None = None,
    *,
    seed: int = 0,
    watch: Watch | None = None,
) -> Metanetwork:
    """Returns a metanetwork that has learned from trained networks, which are left as they are.

    Args:
        cases: One network or several, of any kinds.
        shape: The metanetwork's size.
        training: How to train it.
        seed: Of its first weights, and of the order of the networks.
        watch: Called after every epoch with its number, from 0, the mean loss of the networks that the metanetwork
            made, and the metanetwork as it is: to save it, or to say how far it is.

    Raises:
        ModelError: There is no network, or one that cannot be traced or has no channel to remove.
        TrainingError: A loss is not finite.
    """
    if not cases:
        raise ModelError("no network was given; a metanetwork learns from one trained network or more")
    shape, training = shape or MetanetworkShape(), training or MetaTraining()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        meta = Metanetwork(shape)
    lessons = [Lesson(case) for case in cases]
    optimizer = torch.optim.AdamW(meta.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(training.epochs):
        if epoch == training.slower_from:
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * training.learning_rate
        losses = []
        for place in torch.randperm(len(lessons), generator=order).tolist():
            optimizer.zero_grad()
            losses.append(lessons[place].backward(meta, training))
            optimizer.step()
        if watch is not None:
            watch(epoch, sum(losses) / len(losses), meta)
    return meta.eval()


class Lesson:
    """One network, mapped and grouped once, so that it can be learned from many times."""

    def __init__(self, case: TrainedNetwork) -> None:
        self.case = case
        example = case.task.example()
        self.graph: NetworkGraph = network_graph(case.model, example)
        parameters = {name: parameter.detach() for name, parameter in case.model.named_parameters()}
        self.groups = [
            (group, pressed)
            for group in groups(trace(case.model, example))
            if not group.refused and (pressed := _pressed(group, parameters))
        ]
        if not self.groups:
            raise ModelError(f"{type(case.model).__name__} has no channel that could be removed; nothing to learn")

    def backward(self, meta: Metanetwork, training: MetaTraining) -> float:
        """Adds the gradient of the meta-loss to the metanetwork's weights; returns the mean loss of the batches."""
        rewritten = meta.rewrite(self.graph, self.case.model)
        loss, gradients = self.of_parameters(rewritten, training)
        torch.autograd.backward(list(rewritten.values()), [gradients[name] for name in rewritten])
        return loss

    def of_parameters(self, rewritten: dict[str, Tensor], training: MetaTraining) -> tuple[float, dict[str, Tensor]]:
        """Returns the mean loss of the batches, and the gradient that the parameters are given."""
        model, task = self.case.model, self.case.task
        losses: list[float] = []
        with evaluating(model), holding(model, rewritten) as parameters, torch.enable_grad():
            gradients = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
            for batch in task.batches("train"):
                loss = task.loss(model, batch)
                losses.append(loss.item())
                found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
                for name, gradient in zip(parameters, found, strict=True):
                    if gradient is not None:
                        gradients[name] += gradient
        mean = sum(losses) / max(len(losses), 1)
        if not mean < float("inf"):
            raise TrainingError(f"the loss of a rewritten network is {mean}; take a smaller change or learning rate")
        for name, gradient in self.sparsity(rewritten, training).items():
            gradients[name] += gradient
        return mean, gradients

    @torch.no_grad()
    def sparsity(self, rewritten: dict[str, Tensor], training: MetaTraining) -> dict[str, Tensor]:
        """Returns pressure · γ_c · w for the weights of all channels, by name; a weight of two channels has both."""
        found: dict[str, Tensor] = {}
        for group, all_members in self.groups:
            members = [member for member in all_members if member.tensor in rewritten]
            sums = [unit_sums(member, rewritten[member.tensor] ** 2, group.size) for member in members]
            if not sums:
                continue
            worth = torch.stack(sums).mean(0)
            worth = (worth / worth.max().clamp_min(1e-300)).sqrt()
            spread = (worth.max() - worth.min()).clamp_min(1e-12)
            factors = training.pressure * training.steepness ** ((worth.max() - worth) / spread)
            for member in members:
                weight = rewritten[member.tensor]
                along = torch.where(member.units < 0, 0.0, factors[member.units.clamp_min(0)]).to(weight.dtype)
                term = weight * along.view([-1 if dim == member.dim else 1 for dim in range(weight.dim())])
                found[member.tensor] = found[member.tensor] + term if member.tensor in found else term
        return found


@contextmanager
def holding(model: nn.Module, values: dict[str, Tensor]) -> Iterator[dict[str, nn.Parameter]]:
    """Gives parameters of a network other values for the time of the block, and yields these parameters by name."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if name in values}
    held = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    wanted = {name: parameter.requires_grad for name, parameter in parameters.items()}
    try:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.requires_grad_(True).copy_(values[name])
        yield parameters
    finally:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(held[name]).requires_grad_(wanted[name])


def _pressed(group: Group, parameters: dict[str, Tensor]) -> list[Member]:
    """Returns the members whose weights count: parameters but for biases, of layers and of normalisations."""
    return [
        member
        for member in group.members
        if member.tensor in parameters and "bias" not in member.tensor.rpartition(".")[2]
    ]
