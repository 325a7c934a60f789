"""Of several plans, the one whose network is fastest on this machine, as it is deployed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from gossamer.deploy.accelerate import accelerate
from gossamer.errors import SettingError
from gossamer.structure import Plan
from gossamer.timing import interleaved, using_threads

_SECONDS = 1.0


def fastest(
    plans: Mapping[int, Plan],
    model: nn.Module,
    example: tuple[Any, ...],
    *,
    threads: int | None = None,
    seconds: float = _SECONDS,
) -> Plan:
    """Returns the plan whose network took the least time, which says so in `rounding`.

    Networks are accelerated as for deployment, then timed in turns.

    Args:
        plans: By the number whose multiples the widths are.
        model: What they were made for; it is left as it is.
        example: Its positional arguments.
        threads: Threads to time with; None keeps PyTorch's setting.
        seconds: About how long to time.

    Raises:
        SettingError: There are no plans.
    """
    if not plans:
        raise SettingError("no plans to time; expected at least one multiple of widths")
    networks = {of: accelerate(plan.apply(model), example, threads=threads).model for of, plan in plans.items()}
    with torch.no_grad(), using_threads(threads):
        calls: dict[str, Callable[[], Any]] = {str(of): partial(network, *example) for of, network in networks.items()}
        times = interleaved(calls, repeats=200, seconds=seconds)
    quick = {of: times[str(of)].quick_ms for of in plans}
    best = min(quick, key=lambda of: (quick[of], of))
    tried = ", ".join(f"{of}: {time:.3g} ms" for of, time in quick.items())
    rounded = f"rounded up to multiples of {best}" if best > 1 else "not rounded"
    return dataclasses.replace(plans[best], rounding=f"{rounded}, which measured fastest here ({tried})")
