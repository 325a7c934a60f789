"""Depth: which residual branches, or activations, could be left out of a network, and which layers then merge.

    plan = plan_depth(model, example, ratio=0.5, losses=...)    # branches that are worth least
    print(plan)                                                 # block by block, with worths and parameters
    small = plan.apply(model)                                   # a copy without them

A branch is left out by the modules that make it: the block around it returns its input, or the last module of the
branch returns a zero and those before it their input. Every choice is tried out: the edited network must compute, on
the example, what the network computes with that branch at zero. What cannot be left out so is refused, with the
reason. What a block is worth is measured (`structure.worth`). Consecutive linear operators, as they are left where an
activation goes, are found by `structure.merging`.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.errors import FileError, ModelError, SettingError, unknown
from gossamer.files import write_atomic
from gossamer.structure.blocks import Candidate, What, candidates, distance
from gossamer.structure.edits import Edit, LeaveOut, edit_, submodule
from gossamer.structure.observer import Losses
from gossamer.structure.plan import Counted, arguments, counted
from gossamer.structure.worth import Dissimilarity, LossIncrease, Worth
from gossamer.units import count, percent

FORMAT = 1


@dataclass(frozen=True)
class PlannedBlock:
    """A block that could be left out.

    Attributes:
        name: The module that holds it.
        worth: As the worth says; higher = keep.
        parameters: How many numbers go with it.
        removed: Whether it is left out.
    """

    name: str
    worth: float
    parameters: int
    removed: bool


@dataclass(frozen=True)
class DepthPlan:
    """What would be left out.

    Attributes:
        blocks: All that could be, in the order of the network's run.
        refused: What could not, with the reason.
        edits: The change itself.
        cost_before, cost: What the network takes, and what the shallower one would.
        difference: Between the shallower network and the one with zeros for branches, over the largest output.
    """

    blocks: tuple[PlannedBlock, ...]
    refused: Mapping[str, str]
    edits: tuple[Edit, ...]
    cost_before: Counted
    cost: Counted
    difference: float

    def apply(self, model: nn.Module) -> nn.Module:
        """Returns a shallower copy of `model`; raises ModelError where it is not one that the plan was made for."""
        return self.apply_(copy.deepcopy(model))

    def apply_(self, model: nn.Module) -> nn.Module:
        """Makes `model` itself shallower, and returns it."""
        return edit_(model, self.edits)

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object."""
        return {
            "format": FORMAT,
            "blocks": [dataclasses.asdict(block) for block in self.blocks],
            "refused": dict(self.refused),
            "edits": [edit.to_json() for edit in self.edits],
            "cost_before": dataclasses.asdict(self.cost_before),
            "cost": dataclasses.asdict(self.cost),
            "difference": self.difference,
        }

    def save(self, path: str | Path) -> Path:
        """Writes the plan as JSON, whole or not at all; raises FileError if it cannot."""
        text = json.dumps(self.to_json(), indent=1).encode()
        return write_atomic(path, lambda stream: stream.write(text))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> DepthPlan:
        """Makes a plan from what `to_json` returned; raises SettingError, KeyError or TypeError where it is none."""
        return cls(
            blocks=tuple(PlannedBlock(**block) for block in value["blocks"]),
            refused=value["refused"],
            edits=tuple(Edit.from_json(edit) for edit in value["edits"]),
            cost_before=Counted(**value["cost_before"]),
            cost=Counted(**value["cost"]),
            difference=value["difference"],
        )

    @classmethod
    def load(cls, path: str | Path) -> DepthPlan:
        """Reads what `save` wrote; raises FileError if it is missing, damaged or of a later format."""
        try:
            value = json.loads(Path(path).read_bytes())
            if value["format"] > FORMAT:
                raise FileError(f"{path}: is a plan of format {value['format']}; this gossamer reads up to {FORMAT}")
            return cls.from_json(value)
        except OSError as error:
            raise FileError(f"{path}: could not be read ({error.strerror or error})") from error
        except (ValueError, KeyError, TypeError, SettingError) as error:
            raise FileError(f"{path}: is not a plan ({error}); expected a file made by DepthPlan.save()") from error

    def __str__(self) -> str:
        """The plan as a table."""
        longest = max((len(block.name) for block in self.blocks), default=5)
        lines = [f"{'block':<{longest}}  {'worth':>9}  {'parameters':>10}"]
        for block in self.blocks:
            state = "left out" if block.removed else ""
            lines.append(
                f"{block.name:<{longest}}  {block.worth:>9.3g}  {count(block.parameters):>10}  {state}".rstrip()
            )
        lines.append("")
        for field in ("parameters", "macs"):
            before, after = getattr(self.cost_before, field), getattr(self.cost, field)
            share = f" ({percent(1 - after / before)} less)" if before else ""
            lines.append(f"{field}: {count(before)} → {count(after)}{share}")
        if self.refused:
            lines += ["", "not left out:", *(f"  {name}: {reason}" for name, reason in self.refused.items())]
        return "\n".join(lines)


def plan_depth(
    model: nn.Module,
    example: Any,
    *,
    ratio: float = 0.5,
    what: What = "branches",
    worth: Worth | None = None,
    losses: Losses | None = None,
    keep: Sequence[str] = (),
) -> DepthPlan:
    """Returns what would be left out of a network, checked against the network with these branches at zero.

    Args:
        model: Any module that runs on the example; it is left as it is.
        example: As for `gossamer.plan`.
        ratio: Fraction of what could be left out that is, rounded, in [0, 1].
        what: Residual branches, or activations between two linear operators.
        worth: What a block is worth; by default `LossIncrease()` with losses, `Dissimilarity()` without.
        losses: Yields the loss of each batch for the model that it is given; None: the example alone is looked at.
        keep: Names of blocks that stay.

    Raises:
        ModelError: The network does not run on the example, or nothing can be left out; the reasons are named.
        SettingError: The ratio is out of range, a name to keep is unknown, or the worth needs losses.
    """
    if not 0 <= ratio <= 1:
        raise SettingError(f"ratio is {ratio}; expected a fraction to leave out, from 0 to 1")
    worth = worth or (Dissimilarity() if losses is None else LossIncrease())
    args, kwargs = arguments(example)
    if losses is None:
        if isinstance(worth, LossIncrease):
            raise SettingError("worth 'loss' needs losses; pass losses=, which yields the loss of batches")

        def losses(network: nn.Module) -> Iterator[Tensor]:
            network(*args, **kwargs)
            yield torch.zeros(())

    found, refused = candidates(model, args, kwargs, what)
    for name in keep:
        known = [*(one.name for one in found), *refused]
        if name not in known:
            raise SettingError(unknown("block", name, known))
        found = [one for one in found if one.name != name]
        refused.setdefault(name, "it is kept on request")
    if not found:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in [*refused.items()][:3])
        kind = "residual branch" if what == "branches" else "activation module between two linear operators"
        raise ModelError(f"nothing can be left out of {type(model).__name__}: {reasons or f'it has no {kind}'}")
    worths = worth.of(model, found, losses)
    wanted = round(ratio * len(found))
    chosen: list[int] = []
    worst = 0.0
    for place in sorted(range(len(found)), key=lambda place: worths[place]):
        if len(chosen) == wanted:
            break
        far, reason = _joint_distance(model, [found[other] for other in sorted([*chosen, place])], args, kwargs)
        if reason:
            others = f", together with {found[chosen[0]].name}" if chosen else ""
            refused[found[place].name] = f"{reason}{others}"
        else:
            chosen.append(place)
            worst = far
    edits = tuple(dict.fromkeys(edit for place in sorted(chosen) for edit in found[place].edits))
    before, after = counted(model, args, kwargs), counted(edit_(copy.deepcopy(model), edits), args, kwargs)
    return DepthPlan(
        blocks=tuple(
            PlannedBlock(one.name, worths[place], _parameters(model, one), place in chosen)
            for place, one in enumerate(found)
            if one.name not in refused
        ),
        refused=refused,
        edits=edits,
        cost_before=before,
        cost=after,
        difference=worst,
    )


def _joint_distance(
    model: nn.Module, chosen: Sequence[Candidate], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[float, str]:
    """Returns how far the network without these is from what it must compute, and why, where that is too far."""
    return distance(model, [edit for one in chosen for edit in one.edits], chosen, args=args, kwargs=kwargs)


def _parameters(model: nn.Module, one: Candidate) -> int:
    gone = {
        id(parameter): parameter.numel()
        for edit in one.edits
        if isinstance(edit, LeaveOut)
        for parameter in submodule(model, edit.layer).parameters()
    }
    return sum(gone.values())
