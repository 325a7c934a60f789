"""A plan: what would be removed from a network, before anything is.

    plan = gossamer.plan(model, example, ratio=0.5)
    print(plan)                  # group by group, with the sizes before and after
    small = plan.apply(model)    # a copy, of the same class

Making a plan traces the network, finds its groups, scores their units, and tries the removal on a copy: the smaller
network must compute what the masked one computes. A group for which it does not is put back, and named in
`plan.refused` with the reason, as is every group of which nothing may go.
"""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.cost import distinct
from gossamer.counting import count_macs, evaluating
from gossamer.errors import FileError, ModelError, SettingError
from gossamer.files import write_atomic
from gossamer.structure import picture
from gossamer.structure.allocation import GroupAllocation, SameRatio
from gossamer.structure.axes import Axis
from gossamer.structure.follow import Conflict, removal
from gossamer.structure.groups import Group, groups
from gossamer.structure.removal import Removal, parse_ranges, ranges
from gossamer.structure.scores import GroupMagnitude, GroupScore
from gossamer.structure.trace import Trace, trace
from gossamer.structure.twin import TOLERANCE, difference, outputs, twin_outputs

Losses = Callable[[nn.Module], Iterable[Tensor]]
FORMAT = 1
REMOVALS = "gossamer_removals"  # the attribute in which a network notes what was removed from it, and its edits


@dataclass(frozen=True)
class PlannedGroup:
    """A group that loses units.

    Attributes:
        name: As `Group.name`: the first parameter along it, and the dimension.
        units: How many there are.
        keep: Which stay, as in "0-3,7".
        tensors: The parameters and buffers that lie along it.
    """

    name: str
    units: int
    keep: str
    tensors: tuple[str, ...]

    @property
    def kept(self) -> int:
        """How many units stay."""
        return len(parse_ranges(self.keep))


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What a network takes, as far as it can be counted: parameters, bytes of dense tensors, multiply-accumulates."""

    parameters: int
    bytes: int
    macs: int


@dataclass(frozen=True)
class Plan:
    """What would be removed.

    Attributes:
        groups: The groups that lose units, in the order of the network's parameters.
        refused: Groups that keep all units, with the reason.
        unknown: Operators of the network that have no rule, and how often they ran.
        unused: Parameters that took no part in the run, such as those of a branch for training; they stay as they are.
        removal: The change itself.
        cost_before, cost: What the network takes, and what the smaller one would.
        difference: Between the smaller network and the masked one, as a fraction of the largest output; None where it
            was not checked.
    """

    groups: tuple[PlannedGroup, ...]
    refused: Mapping[str, str]
    unknown: Mapping[str, int]
    unused: tuple[str, ...]
    removal: Removal
    cost_before: Counted
    cost: Counted
    difference: float | None

    def apply(self, model: nn.Module) -> nn.Module:
        """Returns a smaller copy of `model`, of its own class; `model` is left as it is.

        Raises:
            ModelError: The model is not one that the plan was made for.
        """
        return self.apply_(copy.deepcopy(model))

    def apply_(self, model: nn.Module, optimizer: Optimizer | None = None) -> nn.Module:
        """Makes `model` itself smaller, and what an optimiser remembers of it; returns the model."""
        return remove_(model, self.removal, optimizer)

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object."""
        return {
            "format": FORMAT,
            "groups": [dataclasses.asdict(group) for group in self.groups],
            "refused": dict(self.refused),
            "unknown": dict(self.unknown),
            "unused": list(self.unused),
            "removal": self.removal.to_json(),
            "cost_before": dataclasses.asdict(self.cost_before),
            "cost": dataclasses.asdict(self.cost),
            "difference": self.difference,
        }

    def save(self, path: str | Path) -> Path:
        """Writes the plan as JSON, whole or not at all; raises FileError if it cannot."""
        text = json.dumps(self.to_json(), indent=1).encode()
        return write_atomic(path, lambda stream: stream.write(text))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Plan:
        """Makes a plan from what `to_json` returned; raises SettingError, KeyError or TypeError where it is none."""
        return cls(
            groups=tuple(PlannedGroup(**group | {"tensors": tuple(group["tensors"])}) for group in value["groups"]),
            refused=value["refused"],
            unknown=value["unknown"],
            unused=tuple(value["unused"]),
            removal=Removal.from_json(value["removal"]),
            cost_before=Counted(**value["cost_before"]),
            cost=Counted(**value["cost"]),
            difference=value["difference"],
        )

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Reads what `save` wrote; raises FileError if it is missing, damaged or of a later format."""
        try:
            value = json.loads(Path(path).read_bytes())
            if value["format"] > FORMAT:
                raise FileError(f"{path}: is a plan of format {value['format']}; this gossamer reads up to {FORMAT}")
            return cls.from_json(value)
        except OSError as error:
            raise FileError(f"{path}: could not be read ({error.strerror or error})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path}: is not a plan ({error}); expected a file made by Plan.save()") from error

    def __str__(self) -> str:
        """The plan as a table."""
        return picture.table(self)

    def svg(self) -> str:
        """Returns a picture of the plan, groups × units, as an SVG document."""
        return picture.svg(self)


def plan(
    model: nn.Module,
    example: Any,
    *,
    ratio: float = 0.5,
    score: GroupScore | None = None,
    allocation: GroupAllocation | None = None,
    multiple_of: int = 1,
    keep: Sequence[str] = (),
    losses: Losses | None = None,
    seed: int = 0,
) -> Plan:
    """Returns what would be removed from a network, checked against the masked network on the example.

    Args:
        model: Any module that runs on the example; it is left as it is.
        example: A tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        ratio: Fraction of the units to remove, in [0, 1).
        score: What a unit is worth; by default `GroupMagnitude()`.
        allocation: How many units each group loses; by default `SameRatio()`.
        multiple_of: Kept widths are rounded up to multiples of it, where a group is as large.
        keep: Patterns of names of parameters or modules whose units all stay, such as `"encoder.*"`.
        losses: For a score that needs gradients: yields the loss of each batch for the model that it is given.
        seed: Of everything random in the score.

    Raises:
        ModelError: The network does not run on the example, or has no unit that may go; the reasons are named.
        SettingError: The ratio is out of range, a pattern matches nothing, or a score needs losses.

    >>> import torch
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> found = plan(net, torch.zeros(1, 4), ratio=0.25)
    >>> [(group.name, group.units, group.kept) for group in found.groups]
    [('0.weight:0', 8, 6)]
    >>> found.apply(net)[0]
    Linear(in_features=4, out_features=6, bias=True)
    """
    if not 0 <= ratio < 1:
        raise SettingError(f"ratio is {ratio}; expected a fraction to remove, at least 0 and below 1")
    if multiple_of < 1:
        raise SettingError(f"multiple_of is {multiple_of}; expected at least 1")
    score = GroupMagnitude() if score is None else score
    allocation = SameRatio() if allocation is None else allocation
    args, kwargs = arguments(example)
    planner = _Planner(model, args, kwargs, keep)
    planner.score(score, losses, seed)
    masks, change, found = planner.choose(allocation, ratio, multiple_of)
    small = remove_(copy.deepcopy(model), change)
    return Plan(
        groups=tuple(
            PlannedGroup(
                group.name,
                group.size,
                ranges(masks[group].nonzero().flatten()),
                tuple(dict.fromkeys(member.tensor for member in group.members)),
            )
            for group in masks
            if not bool(masks[group].all())
        ),
        refused={group.name: group.refused for group in groups(planner.trace) if group.refused},
        unknown=dict(planner.trace.unknown),
        unused=tuple(name for name, _ in model.named_parameters() if name not in planner.trace.tensors),
        removal=change,
        cost_before=counted(model, args, kwargs),
        cost=counted(small, args, kwargs),
        difference=found,
    )


def remove_(model: nn.Module, change: Removal, optimizer: Optimizer | None = None) -> nn.Module:
    """Makes a network smaller in place, and notes in it what was removed, so that a file can say so."""
    change.apply_(model, optimizer)
    setattr(model, REMOVALS, (*getattr(model, REMOVALS, ()), change))
    return model


def arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns an example as positional and keyword arguments."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, tuple | list):
        return tuple(example), {}
    return (example,), {}


class _Planner:
    """A plan in the making."""

    def __init__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], keep: Sequence[str]) -> None:
        self.model, self.args, self.kwargs = model, args, kwargs
        self.trace: Trace = trace(model, args, kwargs)
        self.scores: dict[Axis, Tensor] = {}
        for pattern in keep:
            matched = [
                group
                for group in groups(self.trace)
                if any(_matches(pattern, name) for member in group.members for name in self.trace.names[member.tensor])
            ]
            if not matched:
                raise SettingError(
                    f"keep: {pattern!r} matches no parameter or module; expected names as in conv1 or *.bias"
                )
            for group in matched:
                group.axis.freeze(f"it is kept on request ({pattern})")

    def score(self, score: GroupScore, losses: Losses | None, seed: int) -> None:
        """Scores the units of every group that may lose any."""
        found = groups(self.trace)
        if all(group.refused for group in found):
            raise ModelError(f"nothing can be removed from {type(self.model).__name__}: {_reasons(found)}")
        gradients: list[Mapping[str, Tensor]] = []
        if score.needs_gradient:
            if losses is None:
                raise SettingError(
                    f"score {score.name!r} needs gradients; pass losses=, which yields the loss of batches"
                )
            gradients = _gradients(self.model, losses)
        generator = torch.Generator().manual_seed(seed)
        parameters = dict(self.model.named_parameters())
        for group in found:
            if not group.axis.frozen:
                self.scores[group.axis] = score.score(group, parameters, gradients, generator)

    def choose(
        self, allocation: GroupAllocation, ratio: float, multiple_of: int
    ) -> tuple[dict[Group, Tensor], Removal, float]:
        """Returns masks of all groups that may lose units, the removal, and how far it is from the masked network."""
        while True:
            found = groups(self.trace)
            free = {group: self.scores[group.axis] for group in found if not group.refused}
            if not free:
                raise ModelError(f"nothing can be removed from {type(self.model).__name__}: {_reasons(found)}")
            masks = allocation.keep(free, ratio, multiple_of)
            losing = {group: mask for group, mask in masks.items() if not bool(mask.all())}
            change = self._change(losing)
            if isinstance(change, Conflict):
                leaves = {leaf for axis in change.axes for leaf in axis.leaves()}
                for group in [group for group in losing if group.axis in leaves] or list(losing):
                    group.axis.freeze(change.reason)
                continue
            worst, error = self._difference(losing, change)
            if worst <= TOLERANCE:
                return masks, change, worst
            for group, reason in self._failing(losing, error):
                group.axis.freeze(reason)

    def _change(self, losing: Mapping[Group, Tensor]) -> Removal | Conflict:
        return removal(self.trace, {group.axis: mask for group, mask in losing.items()})

    def _difference(self, losing: Mapping[Group, Tensor], change: Removal) -> tuple[float, str]:
        """Returns how far the smaller network is from the masked one, and why where it is too far."""
        small = change.apply_(copy.deepcopy(self.model))
        try:
            found = outputs(small, self.args, self.kwargs)
        except Exception as error:  # whatever the network's own code raises when sizes do not fit
            return float("inf"), f"the smaller network does not run ({type(error).__name__}: {_line(error)})"
        kept = {group.axis: mask for group, mask in losing.items()}
        expected = twin_outputs(self.trace, self.model, change, kept, args=self.args, kwargs=self.kwargs)
        worst = difference(found, expected)
        return worst, f"the smaller network differs from the masked one by {worst:.1g} of the largest output"

    def _failing(self, losing: Mapping[Group, Tensor], error: str) -> list[tuple[Group, str]]:
        """Returns the groups that fail alone, found by halving; of such as fail only together, the later half."""
        if len(losing) == 1:
            return [(next(iter(losing)), error)]
        items = list(losing.items())
        bad: list[tuple[Group, str]] = []
        for half in (dict(items[: len(items) // 2]), dict(items[len(items) // 2 :])):
            change = self._change(half)
            if isinstance(change, Conflict):
                leaves = {leaf for axis in change.axes for leaf in axis.leaves()}
                bad += [(group, change.reason) for group in half if group.axis in leaves]
                continue
            worst, why = self._difference(half, change)
            if worst > TOLERANCE:
                bad += self._failing(half, why)
        return bad or [(group, f"{error}, together with {items[0][0].name}") for group, _ in items[len(items) // 2 :]]


def _gradients(model: nn.Module, losses: Losses) -> list[Mapping[str, Tensor]]:
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    found: list[Mapping[str, Tensor]] = []
    with evaluating(model), torch.enable_grad():
        for loss in losses(model):
            gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            found.append({name: g for name, g in zip(named, gradients, strict=True) if g is not None})
    return found


def _matches(pattern: str, name: str) -> bool:
    """Says whether a pattern is that of a parameter or of a module that holds it."""
    parts = name.split(".")
    return any(fnmatch.fnmatchcase(".".join(parts[:length]), pattern) for length in range(1, len(parts) + 1))


def _reasons(found: Sequence[Group]) -> str:
    first = dict.fromkeys(group.refused for group in found)
    return "; ".join([*first][:3]) or "it has no parameter along which units lie"


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def counted(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Counted:
    """Returns what a network takes, from one run."""
    tensors = distinct(model.state_dict()).values()
    return Counted(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        macs=count_macs(_Called(model, kwargs) if kwargs else model, args).total,
    )


class _Called(nn.Module):
    """A network that is given some keyword arguments in every call."""

    def __init__(self, model: nn.Module, kwargs: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = model
        self.kwargs = dict(kwargs)

    def forward(self, *args: Any) -> Any:
        """Calls the network."""
        return self.model(*args, **self.kwargs)
