"""How a network runs here once it is deployed, and what it then takes.

The engine wherever it compiles the network and computes the same; else PyTorch with a sparse kernel in each layer that
has a faster one. Which it was is part of the cost (`Cost.runs_on`), and the network's latency in PyTorch as it is
stands beside it, so that a network that the engine makes no faster is seen to be none.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gossamer.cost import PYTORCH, Budget, Cost, measure, time_call
from gossamer.counting import evaluating, tensors_in
from gossamer.deploy.accelerate import accelerate as accelerate_model
from gossamer.deploy.choice import Accelerated
from gossamer.deploy.compare import same_outputs
from gossamer.deploy.engine import Engine
from gossamer.deploy.engine import compile as compile_network
from gossamer.deploy.engine.traces import Traces
from gossamer.deploy.export.quiet import quiet
from gossamer.timing import using_threads

ENGINE, PARTLY, ACCELERATED = "engine", "engine with PyTorch", "accelerated PyTorch"
_MOST = 100_000  # calls: the clock stops them first
_SECONDS = 0.5  # of timing what stands beside the network that is deployed


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A network ready to run.

    Attributes:
        runs_on: As in `Cost`.
        engine: Where the network runs on it, alone or with PyTorch; None elsewhere.
        accelerated: The network in PyTorch with sparse kernels; None where that was not asked for.
        reason: Why it does not run on the engine, or which operators run in PyTorch; "" where all runs on the engine.
    """

    runs_on: str
    engine: Engine | None
    accelerated: Accelerated | None
    reason: str


def deployment(
    model: nn.Module,
    example: tuple[Any, ...],
    *,
    threads: int | None = None,
    engine: bool = True,
    accelerate: bool = True,
    traces: Traces | None = None,
) -> Deployment:
    """Returns a network as it should run on this machine; the network is left as it is.

    Args:
        model: Any network.
        example: Its positional arguments at the sizes that count.
        threads: Of a call; PyTorch's own number by default.
        engine: Whether to try the engine.
        accelerate: Whether to make the PyTorch network with sparse kernels even where the engine runs; where it does
            not, that network is made anyway unless `engine` is False too.
        traces: Of networks tried before, which make it quicker.
    """
    with using_threads(threads), torch.random.fork_rng(devices=[]):
        found, reason = None, "the engine was not asked for"
        if engine:
            found, reason = _engine(model, example, Traces() if traces is None else traces)
        wanted = accelerate or (engine and found is None)
        accelerated = accelerate_model(model, example) if wanted else None
    runs_on = ACCELERATED if accelerated is not None and accelerated.changes else PYTORCH
    if found is not None:
        runs_on = PARTLY if found.torch_steps else ENGINE
    return Deployment(runs_on=runs_on, engine=found, accelerated=accelerated, reason=reason)


def measure_deployed(
    model: nn.Module,
    example: tuple[Any, ...],
    made: Deployment,
    *,
    latency: bool = True,
    beside: bool = True,
    torch_compile: bool = False,
    threads: int | None = None,
    seconds: float = 1.0,
    budget: Budget | None = None,
) -> Cost:
    """Returns what a network takes as it is deployed.

    Args:
        model: The network; left as it is.
        example: Its positional arguments.
        made: What `deployment` returned for both.
        latency: Whether to time it.
        beside: Whether to time the network in PyTorch as it is, too.
        torch_compile: Whether to time it under `torch.compile` too, which takes seconds to minutes and a C++ compiler;
            without one that latency stays None.
        threads: Of a call; the same as `deployment` was given.
        seconds: Of timing, about.
        budget: A latency that it bounds is timed until it is clear on which side of the bound it is.

    Returns:
        Sizes of `model`; latency of what is deployed; multiply-accumulates and memory of the network in PyTorch, with
        the sparse kernels where `made.accelerated` has them.
    """
    sizes = measure(model, example, latency=False)
    if made.accelerated is not None:
        running = measure(made.accelerated.model, example, latency=False)
        sizes = dataclasses.replace(sizes, macs=running.macs, peak_memory_bytes=running.peak_memory_bytes)
    if not latency:
        return sizes
    network = made.engine or (model if made.accelerated is None else made.accelerated.model)
    with evaluating(model), torch.no_grad(), using_threads(threads):
        timing = time_call(lambda: network(*example), repeats=_MOST, seconds=seconds, budget=budget)
        eager = compiled = None
        if network is model:
            eager = timing.median_ms
        elif beside:
            eager = time_call(lambda: model(*example), seconds=_SECONDS).median_ms
        if torch_compile:
            compiled = _compiled_ms(model, example)
    return dataclasses.replace(
        sizes,
        latency_ms=timing.median_ms,
        latency_spread_ms=timing.spread_ms,
        runs_on=made.runs_on,
        eager_latency_ms=eager,
        compiled_latency_ms=compiled,
    )


def _engine(model: nn.Module, example: tuple[Any, ...], traces: Traces) -> tuple[Engine | None, str]:
    """Returns the network on the engine and which of its operators run in PyTorch, or None and why not."""
    if any(tensor.device.type != "cpu" for tensor in (*model.parameters(), *tensors_in(example))):
        return None, "the engine runs on the CPU, and the network does not"
    known = bool(traces)
    try:
        engine = compile_network(model, example, dynamic=False, traces=traces)
        with evaluating(model), torch.no_grad():
            same = same_outputs(list(tensors_in(engine(*example))), list(tensors_in(model(*example))))
    except Exception as error:  # any network may come here: whatever stops the engine, PyTorch runs it
        engine, same, reason = None, False, f"the engine does not take the network: {_line(error)}"
    else:
        reason = "the engine's outputs differ by more than rounding"
    if engine is None or not same:
        traces.forget()
        return _engine(model, example, traces) if known else (None, reason)
    steps = ", ".join(dict.fromkeys(engine.torch_steps))
    return engine, f"these operators run in PyTorch: {steps}" if steps else ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _compiled_ms(model: nn.Module, example: tuple[Any, ...]) -> float | None:
    """Returns the median time of a call under `torch.compile`; None where it cannot compile the network here."""
    try:
        with quiet():
            compiled: Callable[..., Any] = torch.compile(copy.deepcopy(model).eval(), dynamic=False)
            compiled(*example)
            return time_call(lambda: compiled(*example), seconds=_SECONDS).median_ms
    except Exception:  # no compiler, or an operator that it does not know: anything may come out of it
        return None
