"""What could be left out of a network: residual branches, and activations between linear operators."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from gossamer.structure.edits import Edit, LeaveOut, edit_, submodule
from gossamer.structure.merging import consecutive
from gossamer.structure.residual import Branch, Without, branches
from gossamer.structure.twin import TOLERANCE, difference, outputs

What = Literal["branches", "activations"]
ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.Softsign, nn.PReLU),
)


@dataclass(frozen=True)
class Candidate:
    """What could be left out.

    Attributes:
        name: The module that is left out, or that holds the branch.
        edits: What leaves it out.
        branch: The residual addition; None of an activation.
    """

    name: str
    edits: tuple[Edit, ...]
    branch: Branch | None = None


def candidates(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], what: What
) -> tuple[list[Candidate], dict[str, str]]:
    """Returns what could be left out of a network, and by name what could not, with the reason."""
    if what == "activations":
        return _activations(model, args, kwargs)
    found: list[Candidate] = []
    refused: dict[str, str] = {}
    for branch in branches(model, args, kwargs):
        one, reason = _leave_out(model, branch, args, kwargs)
        if one is not None:
            found.append(one)
        else:
            refused[branch.inside[-1] if branch.inside else branch.name or "the network itself"] = reason
    return found, refused


def distance(
    model: nn.Module,
    edits: Sequence[Edit],
    without: Sequence[Candidate],
    *,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[float, str]:
    """Returns how far an edited network is from the one with branches at zero, and why, where that is too far.

    Of activations, nothing is compared but that the network runs and gives results of the same shapes.
    """
    try:
        found = outputs(edit_(copy.deepcopy(model), edits), args, kwargs)
    except Exception as error:  # whatever the network's own code raises where a module does not do what it did
        line = (str(error).strip().splitlines() or [""])[0]
        return float("inf"), f"the network does not run without it ({type(error).__name__}: {line})"
    zeroed = [one.branch for one in without if one.branch is not None]
    expected = outputs(model, args, kwargs, within=Without(zeroed))
    if not zeroed:
        same = [tensor.shape for tensor in found] == [tensor.shape for tensor in expected]
        return (0.0, "") if same else (float("inf"), "the network's results would have other shapes")
    worst = difference(found, expected)
    reason = f"the network without it differs from the one with a branch of zeros by {worst:.1g} of the largest output"
    return worst, "" if worst <= TOLERANCE else reason


def _leave_out(
    model: nn.Module, branch: Branch, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Candidate | None, str]:
    """Returns the first way of leaving a branch out that computes the right thing: the block, else its modules."""
    ways: list[tuple[str, tuple[Edit, ...]]] = []
    for name in branch.around:
        ways += [(name, (LeaveOut(layer=name, items=items),)) for items, _ in _made(model, name, args, kwargs)]
    if branch.inside:
        *before, last = branch.inside
        for items, rank in _made(model, last, args, kwargs):
            zero = LeaveOut(layer=last, leaves="zero", items=items, rank=rank)
            ways.append((last, (*(LeaveOut(layer=name) for name in before), zero)))
            ways.append((last, (*(_thin(model, name) for name in before), zero)))
            module = submodule(model, last)
            if isinstance(module, nn.Linear):
                wide = LeaveOut(layer=last, leaves="zero", width=module.out_features)
                ways.append((last, (*(_thin(model, name) for name in before), wide)))
    reason = "no module works for this branch alone"
    for name, edits in ways:
        one = Candidate(name, edits, branch)
        _, reason = distance(model, edits, [one], args=args, kwargs=kwargs)
        if not reason:
            return one, ""
    return None, reason


def _thin(model: nn.Module, name: str) -> LeaveOut:
    """Returns the edit that leaves a module out without changing the width of what comes out of it."""
    module = submodule(model, name)
    if isinstance(module, nn.Linear) and module.in_features != module.out_features:
        return LeaveOut(layer=name, leaves="zero", width=module.out_features)
    return LeaveOut(layer=name)


def _made(model: nn.Module, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Returns what a module returns: how many items of a tuple, 0 for a tensor, and the dimensions of the first.

    A list of one; empty where it is neither.
    """
    found: list[tuple[int, int]] = []

    def look(_: nn.Module, __: Any, out: Any) -> None:
        first = out[0] if isinstance(out, tuple) and out else out
        if isinstance(first, Tensor):
            found.append((len(out) if isinstance(out, tuple) else 0, first.dim()))

    handle = submodule(model, name).register_forward_hook(look)
    try:
        outputs(model, args, kwargs)
    finally:
        handle.remove()
    return found[:1]


def _activations(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[list[Candidate], dict[str, str]]:
    """Returns the activation modules between two linear operators that would then merge into a smaller one."""
    found: list[Candidate] = []
    refused: dict[str, str] = {}
    for name, module in model.named_modules():
        if not isinstance(module, ACTIVATIONS) or not name:
            continue
        one = Candidate(name, (LeaveOut(layer=name),))
        _, reason = distance(model, one.edits, [one], args=args, kwargs=kwargs)
        if not reason:
            reason = _unmerged(model, one, args, kwargs)
        if reason:
            refused[name] = reason
        else:
            found.append(one)
    return found, refused


def _unmerged(model: nn.Module, one: Candidate, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Returns why no two layers would merge without an activation, that would not with it."""
    known = {(first, second) for first, second, _ in consecutive(model, args, kwargs)}
    without = edit_(copy.deepcopy(model), one.edits)
    reasons = [reason for first, second, reason in consecutive(without, args, kwargs) if (first, second) not in known]
    if not reasons:
        return "it does not stand between two linear operators alone"
    return reasons[0]
