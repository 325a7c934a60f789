"""What is deployed computes the same and is what is timed; networks of one structure share a trace."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer.cost import Budget, measure
from gossamer.deploy import Accelerated, Deployment, Engine, deployment, measure_deployed
from gossamer.deploy.engine import kernels, traces
from gossamer.deploy.engine.traces import Traces
from gossamer.kernels import native
from gossamer.timing import Timing

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")


class Scaled(nn.Module):
    """Its factor is in no tensor and in no text."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.factor


class Sorted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sort(x, -1).values


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if float(x.sum()) > 0 else x - 1


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4)).eval()


def pruned(fraction: float) -> nn.Sequential:
    network = mlp()
    with torch.no_grad():
        network[0].weight[:, : int(32 * fraction)] = 0.0
    return network


class Clock:
    """Stands in for `time_call`: notes what it is given and runs it once."""

    def __init__(self, times: list[float]) -> None:
        self.times, self.outputs, self.options = list(times), [], []

    def __call__(self, call: Callable[[], Any], **options: Any) -> Timing:
        self.outputs.append(call())
        self.options.append(options)
        return Timing((self.times.pop(0),))


def test_what_the_engine_compiles_runs_on_it_and_computes_the_same() -> None:
    network, x = pruned(0.9), torch.randn(3, 32)
    before = torch.get_rng_state()
    made = deployment(network, (x,), accelerate=False)
    assert torch.equal(torch.get_rng_state(), before)
    assert (made.runs_on, made.reason, made.accelerated) == ("engine", "", None)
    assert made.engine is not None
    torch.testing.assert_close(made.engine(x), network(x).detach())
    assert set(made.engine.kernels) == {"0.weight", "2.weight"}


def test_an_operator_without_a_kernel_is_named() -> None:
    made = deployment(nn.Sequential(mlp(), Sorted()), (torch.randn(3, 32),), accelerate=False)
    assert made.runs_on == "engine with PyTorch"
    assert "sort" in made.reason


@pytest.mark.parametrize(("done", "where"), [((), "PyTorch"), (("a swap",), "accelerated PyTorch")])
def test_what_the_engine_does_not_take_runs_in_pytorch_and_the_reason_is_kept(
    done: tuple[str, ...], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def accelerated(model: nn.Module, example: tuple[Any, ...]) -> Accelerated:
        del example
        return Accelerated(model=model, choices=(), changes=done, before=None, after=None, reason="")  # type: ignore[arg-type]

    monkeypatch.setattr("gossamer.deploy.running.accelerate_model", accelerated)
    network, x = nn.Sequential(mlp(), Branching()), torch.randn(3, 32)
    made = deployment(network, (x,), accelerate=False)
    assert (made.runs_on, made.engine) == (where, None)
    assert "depends on the numbers" in made.reason
    assert made.accelerated is not None, "something has to run"
    assert deployment(network, (x,), engine=False, accelerate=False).runs_on == "PyTorch"


def test_what_is_timed_is_what_is_deployed_then_the_network_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = pruned(0.9), torch.randn(3, 32)
    made, clock = deployment(network, (x,)), Clock([0.5, 2.0])
    ran: list[str] = []
    monkeypatch.setattr("gossamer.deploy.running.time_call", clock)
    monkeypatch.setattr(Engine, "__call__", lambda *_: ran.append("engine"))
    budget = Budget(latency_ms=1.0)
    cost = measure_deployed(network, (x,), made, budget=budget)
    assert ran == ["engine"]
    assert clock.options[0]["budget"] is budget
    torch.testing.assert_close(clock.outputs[1], network(x).detach())
    assert (cost.latency_ms, cost.eager_latency_ms, cost.compiled_latency_ms) == (0.5, 2.0, None)
    assert cost.runs_on == "engine"
    plain = measure(network, (x,), latency=False)
    assert (cost.parameters, cost.nonzeros, cost.bytes) == (plain.parameters, plain.nonzeros, plain.bytes)


def test_a_network_in_pytorch_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock([3.0])
    monkeypatch.setattr("gossamer.deploy.running.time_call", clock)
    network, x = mlp(), torch.randn(3, 32)
    made = Deployment(runs_on="PyTorch", engine=None, accelerated=None, reason="")
    cost = measure_deployed(network, (x,), made)
    assert (cost.latency_ms, cost.eager_latency_ms, cost.runs_on) == (3.0, 3.0, "PyTorch")


def test_torch_compile_is_measured_where_asked_for_and_unknown_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = mlp(), torch.randn(3, 32)
    made = Deployment(runs_on="PyTorch", engine=None, accelerated=None, reason="")
    monkeypatch.setattr("gossamer.deploy.running.time_call", Clock([3.0, 1.0, 3.0]))
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    assert measure_deployed(network, (x,), made, torch_compile=True).compiled_latency_ms == 1.0

    def fails(model: nn.Module, **_: Any) -> nn.Module:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", fails)
    assert measure_deployed(network, (x,), made, torch_compile=True).compiled_latency_ms is None


def test_networks_of_one_structure_are_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[nn.Module] = []
    real = traces.trace

    def noted(model: nn.Module, *rest: Any, **more: Any) -> Any:
        traced.append(model)
        return real(model, *rest, **more)

    monkeypatch.setattr(traces, "trace", noted)
    known, x = Traces(), torch.randn(3, 32)
    for fraction in (0.0, 0.5, 0.9):
        network = pruned(fraction)
        made = deployment(network, (x,), accelerate=False, traces=known)
        assert made.engine is not None
        torch.testing.assert_close(made.engine(x), network(x).detach())
    assert len(traced) == 1
    wider = nn.Sequential(nn.Linear(32, 65), nn.ReLU(), nn.Linear(65, 4)).eval()
    deployment(wider, (x,), accelerate=False, traces=known)
    deployment(mlp(), (torch.randn(4, 32),), accelerate=False, traces=known)
    assert len(traced) == 3


def test_a_trace_that_computes_something_else_is_given_up() -> None:
    known, x = Traces(), torch.randn(3, 8)
    one = Scaled(2.0)
    other = copy.deepcopy(one)
    other.factor = 5.0
    for network in (one, other, one):
        made = deployment(network, (x,), accelerate=False, traces=known)
        assert made.runs_on == "engine"
        assert made.engine is not None
        torch.testing.assert_close(made.engine(x), network(x).detach())


@pytest.mark.parametrize("fastest", ["dense", "blocks", "blocks8", "csr"])
def test_each_layer_gets_the_kernel_with_the_shortest_recorded_time(
    fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recorded(runs: dict[str, Any], **_: Any) -> dict[str, Timing]:
        assert set(runs) == {"dense", "blocks", "blocks8", "csr"}
        return {name: Timing((1.0 if name == fastest else 2.0,)) for name in runs}

    monkeypatch.setattr(kernels, "interleaved", recorded)
    network, x = pruned(0.9), torch.randn(3, 32)
    made = deployment(network, (x,), accelerate=False)
    assert made.engine is not None
    assert made.engine.kernels == {"0.weight": fastest, "2.weight": fastest}, "4 outputs are fewer than a block has"
    torch.testing.assert_close(made.engine(x), network(x).detach())
