"""Whole operators, branches of sums and concatenations, as groups that training may press to zero and erase."""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.counting import count_macs, evaluating
from gossamer.deploy.changes import EraseModule
from gossamer.errors import ModelError, SettingError
from gossamer.structure import Member, Removal, UnitWeights
from gossamer.structure.axes import Axis
from gossamer.structure.branches import Branch, Flow, flow
from gossamer.structure.follow import Conflict, removal
from gossamer.structure.invariant import with_other_numbers
from gossamer.structure.plan import remove_
from gossamer.structure.trace import Trace, trace
from gossamer.structure.twin import TOLERANCE, difference, outputs
from gossamer.train.optimizers import replace_parameter


class OperatorSpace:
    """The branches that a network can do without, one group each.

    Args:
        model: Any network that can be traced.
        example: Its positional arguments.
        keep: Patterns of names of modules that all stay.

    Attributes:
        branches: What may be erased, in the order in which it runs.
        refused: Branches that stay, with the reason.

    Raises:
        ModelError: Nothing can be erased; the reasons are named.
    """

    def __init__(self, model: nn.Module, example: tuple[Any, ...], *, keep: tuple[str, ...] = ()) -> None:
        self._model, self._example = model, example
        self.flow: Flow = flow(model, example, {})
        self._trace: Trace = trace(model, example)
        self.branches: list[Branch] = []
        self.blocks: list[UnitWeights] = []
        self.refused: dict[str, str] = {}
        found = self.flow.branches()
        _require_matches(keep, found)
        other = with_other_numbers(model)
        for branch in found:
            reason = _kept(branch, keep) or self._objection(other, [branch])
            if reason:
                self.refused[branch.name] = reason
            else:
                self.branches.append(branch)
                self.blocks.append(self._weights(branch))
        if not self.branches:
            reasons = "; ".join(dict.fromkeys(self.refused.values())) or "no sum or concatenation joins branches"
            raise ModelError(f"no operator of {type(model).__name__} can be erased: {reasons}")
        self.share = 1.0
        self._macs = count_macs(model, example).total
        self._erased: list[str] = []
        self._difference: float | None = None

    def wanted(self, ratio: float) -> int:
        """Returns how many branches are to go."""
        return int(ratio * len(self.branches) + 0.5)

    def choose(self, redundancy: Tensor, ratio: float, margin: float) -> Tensor:
        """Returns the branches to press: in the order of redundancy, those without which the network is still one."""
        del margin
        chosen: list[int] = []
        for number in redundancy.argsort(descending=True, stable=True).tolist():
            if len(chosen) < self.wanted(ratio) and self.flow.stands_without(
                [self.branches[one] for one in (*chosen, number)]
            ):
                chosen.append(number)
        return torch.tensor(chosen, dtype=torch.int64)

    def cut(self, zero: Tensor, optimizer: Optimizer | None) -> None:
        """Erases the branches that are zero, and notes by how much the network then computes something else."""
        before = outputs(self._model, self._example, {})
        gone: list[Branch] = []
        for branch, is_zero in zip(self.branches, zero.tolist(), strict=True):
            if is_zero:
                reason = self._objection(self._model, [*gone, branch])
                if reason:
                    self.refused[branch.name] = reason
                else:
                    gone.append(branch)
        self._erase(gone, optimizer)
        self._difference = difference(outputs(self._model, self._example, {}), before)

    def notes(self) -> tuple[str, ...]:
        """Says which branches have to stay, and why."""
        if not self.refused:
            return ()
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.refused.items())
        return (f"These operators cannot be erased and stay: {reasons}.",)

    def report(self) -> dict[str, Any]:
        """Returns what was erased of what there is, and how exact that was."""
        return {
            "operators": [branch.name for branch in self.branches],
            "erased": list(self._erased),
            "refused": dict(self.refused),
            "difference": self._difference,
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns what was erased."""
        return {"erased": list(self._erased), "refused": dict(self.refused), "difference": self._difference}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Erases the same from an untouched network."""
        if state["erased"] and not self._erased:
            self._erase([branch for branch in self.branches if branch.name in state["erased"]], None)
        self.refused, self._difference = dict(state["refused"]), state["difference"]

    def _weights(self, branch: Branch) -> UnitWeights:
        """Returns a branch's parameters as one group, with the scales of norms behind the concatenation it ends in."""
        parameters = dict(self._model.named_parameters())
        inside = [name for name in branch.parameters if name in parameters]
        members = [Member(name, 0, torch.zeros(len(parameters[name]), dtype=torch.int64)) for name in inside]
        for leaf in self._parts(branch):
            for name, axes in self._trace.tensors.items():
                for dim, axis in enumerate(axes):
                    if name in parameters and name not in inside and (name, dim) not in self._trace.summed:
                        members += [Member(name, dim, units.clamp_max(0)) for units in axis.units(leaf)]
        return UnitWeights(1, members)

    def _parts(self, branch: Branch) -> list[Axis]:
        """Returns what a branch puts into the concatenation that it ends in; nothing where that is a sum."""
        return [*self._trace.joined[branch.place][branch.slot].leaves()] if branch.kind == "cat" else []

    def _erase(self, gone: Sequence[Branch], optimizer: Optimizer | None) -> None:
        if not gone:
            return
        lost = dict.fromkeys(name for branch in gone for name in branch.parameters)
        parameters = dict(self._model.named_parameters())
        if optimizer is not None:
            for name in lost:
                if name in parameters:
                    replace_parameter(optimizer, parameters[name], [])
        erase_(self._model, gone, self._narrowing(gone), optimizer)
        self._erased = [branch.name for branch in gone]
        self.share = count_macs(self._model, self._example).total / max(self._macs, 1)

    def _narrowing(self, gone: Sequence[Branch]) -> Removal | None:
        """Returns what else must shrink: the layers behind concatenations that lose parts."""
        kept = {leaf: torch.zeros(leaf.size, dtype=torch.bool) for branch in gone for leaf in self._parts(branch)}
        if not kept:
            return None
        change = removal(self._trace, kept)
        if isinstance(change, Conflict):
            raise ModelError(change.reason)
        inside = [name for branch in gone for name, _ in branch.modules]

        def stays(name: str) -> bool:
            return not any(name == module or name.startswith(f"{module}.") for module in inside)

        return Removal(
            cuts=tuple(cut for cut in change.cuts if stays(cut.tensor)),
            sizes=tuple(size for size in change.sizes if stays(size.module)),
        )

    def _objection(self, model: nn.Module, gone: Sequence[Branch]) -> str:
        """Returns why branches cannot be erased from a network of this shape; "" where they can."""
        if not self.flow.stands_without(gone):
            return "no other branch would be left"
        zeroed = copy.deepcopy(model)
        parameters: Mapping[str, Tensor] = {name: one.detach() for name, one in zeroed.named_parameters()}
        for branch in gone:
            if any(name in parameters and not parameters[name].dim() for name in branch.parameters):
                return "it has a parameter without dimensions"
            self._weights(branch).silence_(parameters, torch.ones(1, dtype=torch.bool))
        expected = outputs(zeroed, self._example, {})
        try:
            small = erase_(zeroed, gone, self._narrowing(gone), None)
            found = outputs(small, self._example, {})
            with evaluating(small), torch.no_grad():
                small(*self._example)  # by whatever shortcut it takes in eval mode
        except Exception as error:  # whatever the network's own code raises when an operator is not there
            return f"the network does not run without it ({type(error).__name__}: {str(error).splitlines()[0]})"
        worst = difference(found, expected)
        return "" if worst <= TOLERANCE else "zeros in its weights do not silence it"


def erase_(
    model: nn.Module, gone: Sequence[Branch], narrowing: Removal | None, optimizer: Optimizer | None
) -> nn.Module:
    """Puts `Erased` in place of the modules of branches, cuts what their absence narrows, and returns the model."""
    if narrowing is not None and (narrowing.cuts or narrowing.sizes):
        remove_(model, narrowing, optimizer)
    for branch in gone:
        for name, returns in branch.modules:
            EraseModule(layer=name, joint="cat" if branch.kind == "cat" else "add", returns=returns).apply(model)
    return model


def _kept(branch: Branch, keep: Sequence[str]) -> str:
    matched = next((pattern for pattern in keep if any(_matches(pattern, name) for name, _ in branch.modules)), None)
    return "" if matched is None else f"it is kept on request ({matched})"


def _matches(pattern: str, name: str) -> bool:
    parts = name.split(".")
    return any(fnmatch.fnmatchcase(".".join(parts[:length]), pattern) for length in range(1, len(parts) + 1))


def _require_matches(keep: Sequence[str], branches: Sequence[Branch]) -> None:
    for pattern in keep:
        if not any(_matches(pattern, name) for branch in branches for name, _ in branch.modules):
            raise SettingError(f"keep: {pattern!r} matches no operator that is a branch; expected names of modules")
