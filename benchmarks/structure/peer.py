"""The same networks pruned by Torch-Pruning 1.6, with its defaults and the layers named that make outputs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gossamer.structure import groups, trace
from gossamer.structure.plan import arguments
from gossamer.structure.twin import outputs

LEAST = 0.35
PATIENCE = 30  # seconds


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"not done after {PATIENCE} s")


def record(make: Callable[[], tuple[nn.Module, Any]]) -> dict[str, Any]:
    """Returns whether the pruned network runs, keeps its shapes and has lost enough; it is compared with no twin."""
    network, example = make()
    network.eval()
    args, kwargs = arguments(example)
    expected = [tensor.shape for tensor in outputs(network, args, kwargs)]
    before = sum(parameter.numel() for parameter in network.parameters())
    started = time.perf_counter()
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(PATIENCE)
    try:
        prune(network, args, kwargs, outputs_of(network, args, kwargs))
        results = [tensor.shape for tensor in outputs(network, args, kwargs)]
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        return {"passed": False, "wrong": f"{type(error).__name__}: {text[:200]}"}
    finally:
        signal.alarm(0)
    lost = 1 - sum(parameter.numel() for parameter in network.parameters()) / before
    wrong = "other output shapes" if results != expected else "" if lost >= LEAST else f"lost only {lost:.0%}"
    seconds = round(time.perf_counter() - started, 3)
    return {"passed": not wrong, "wrong": wrong, "lost": round(lost, 4), "seconds": seconds}


def outputs_of(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[nn.Module]:
    """Returns the modules whose rows are outputs of the network, which its users must name."""
    found = trace(network, args, kwargs)
    names = {
        member.tensor.rpartition(".")[0]
        for group in groups(found)
        if "output of the network" in group.refused
        for member in group.members
        if member.dim == 0
    }
    modules = dict(network.named_modules())
    return [modules[name] for name in sorted(names)]


def prune(network: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], ignored: list[nn.Module]) -> None:
    """Removes half of the channels in place."""
    import torch_pruning

    given: Any = kwargs or args
    with torch.enable_grad():
        pruner = torch_pruning.pruner.BasePruner(
            network,
            given,
            importance=torch_pruning.importance.GroupMagnitudeImportance(),
            pruning_ratio=0.5,
            ignored_layers=ignored,
        )
        pruner.step()
