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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.cost import distinct
from gossamer.errors import FileError, ModelError, SettingError
from gossamer.files import write_atomic
from gossamer.structure import picture
from gossamer.structure.allocation import GroupAllocation, SameRatio
from gossamer.structure.axes import Axis
from gossamer.structure.follow import Conflict, removal
from gossamer.structure.groups import Group, groups
from gossamer.structure.observer import Keep, Losses, Observer
from gossamer.structure.removal import Removal, parse_ranges, ranges
from gossamer.structure.scores import GroupMagnitude, GroupScore
from gossamer.structure.trace import Trace, shallow_copy, trace
from gossamer.structure.twin import TOLERANCE, counted_outputs, difference, twin_outputs

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

    def keep_mask(self) -> Tensor:
        """Returns which units stay, (units,) bool."""
        mask = torch.zeros(self.units, dtype=torch.bool)
        mask[parse_ranges(self.keep)] = True
        return mask


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
        units: How many units might have gone, in groups that lose some or none.
        rounding: What widths are rounded to, and why; "" where they are not.
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
    units: int
    rounding: str
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
            "units": self.units,
            "rounding": self.rounding,
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
            units=value["units"],
            rounding=value["rounding"],
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
        losses: For a score that looks at data: yields the loss of each batch for the model that it is given. A score of
            what units hold looks at the example where there are none.
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
    planner.score(score, losses, seed, lambda scores: allocation.keep(scores, ratio, multiple_of))
    masks, change, tried = planner.choose(allocation, ratio, multiple_of)
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
        cost_before=_counted(model, tried.macs_before),
        cost=_counted(tried.small, tried.macs),
        units=sum(group.size for group in masks),
        rounding=f"rounded up to multiples of {multiple_of}" if multiple_of > 1 else "",
        difference=tried.difference,
    )


def remove_(model: nn.Module, change: Removal, optimizer: Optimizer | None = None) -> nn.Module:
    """Makes a network smaller in place, and notes in it what was removed, so that a file can say so."""
    change.apply_(model, optimizer)
    *earlier, last = getattr(model, REMOVALS, ()) or (None,)
    joined = (last.then(change),) if isinstance(last, Removal) else (change,) if last is None else (last, change)
    setattr(model, REMOVALS, (*earlier, *joined))
    return model


def arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns an example as positional and keyword arguments."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, tuple | list):
        return tuple(example), {}
    return (example,), {}


@dataclass(frozen=True)
class Trial:
    """A removal tried out: the smaller network, how far it is from the masked one, and what both compute."""

    small: nn.Module
    difference: float
    error: str  # what is wrong where the difference is too large
    macs_before: int
    macs: int


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

    def score(self, score: GroupScore, losses: Losses | None, seed: int, keep: Keep) -> None:
        """Scores the units of every group that may lose any."""
        found = groups(self.trace)
        if all(group.refused for group in found):
            raise ModelError(f"nothing can be removed from {type(self.model).__name__}: {_reasons(found)}")
        observer = Observer(self.trace, self.model, self.args, self.kwargs, losses=losses, keep=keep, seed=seed)
        free = [group for group in found if not group.axis.frozen]
        scores = score.scores(free, observer)
        for group in free:
            if group in scores:
                self.scores[group.axis] = scores[group]
            else:
                group.axis.freeze(f"score {score.name!r} sees nothing of what its units hold")

    def choose(
        self, allocation: GroupAllocation, ratio: float, multiple_of: int
    ) -> tuple[dict[Group, Tensor], Removal, Trial]:
        """Returns masks of all groups that may lose units, the removal, and the trial that it passed."""
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
            trial = self._try(losing, change)
            if trial.difference <= TOLERANCE:
                return masks, change, trial
            for group, reason in self._failing(losing, trial.error):
                group.axis.freeze(reason)

    def _change(self, losing: Mapping[Group, Tensor]) -> Removal | Conflict:
        return removal(self.trace, {group.axis: mask for group, mask in losing.items()})

    def _try(self, losing: Mapping[Group, Tensor], change: Removal) -> Trial:
        """Runs the smaller network and the masked one."""
        small = change.apply_(shallow_copy(self.model))
        try:
            found, macs = counted_outputs(small, self.args, self.kwargs)
        except Exception as error:  # whatever the network's own code raises when sizes do not fit
            why = f"the smaller network does not run ({type(error).__name__}: {_line(error)})"
            return Trial(small, float("inf"), why, 0, 0)
        kept = {group.axis: mask for group, mask in losing.items()}
        expected, before = twin_outputs(self.trace, self.model, change, kept, args=self.args, kwargs=self.kwargs)
        worst = difference(found, expected)
        why = f"the smaller network differs from the masked one by {worst:.1g} of the largest output"
        return Trial(small, worst, why, before, macs)

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
            trial = self._try(half, change)
            if trial.difference > TOLERANCE:
                bad += self._failing(half, trial.error)
        return bad or [(group, f"{error}, together with {items[0][0].name}") for group, _ in items[len(items) // 2 :]]


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
    return _counted(model, counted_outputs(model, args, kwargs)[1])


def _counted(model: nn.Module, macs: int) -> Counted:
    tensors = distinct(model.state_dict()).values()
    return Counted(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        macs=macs,
    )
