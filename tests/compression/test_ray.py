"""The same sweep on a Ray cluster of two workers, on this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from torch import nn

from gossamer.compression import Compression, Method, compare, parse_methods
from gossamer.errors import SettingError
from gossamer.train import Training
from tests.battery.networks import SequenceTask
from tests.compression.sweeps import timeless

ray: Any = pytest.importorskip("ray", reason="Ray is not installed")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # pytest's names of test modules are no importable ones
pytestmark = pytest.mark.xdist_group("ray")


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(160, 16), nn.ReLU(), nn.Linear(16, 4))


class Lost(Method):
    """Ends the process that it runs in."""

    def start(self, model: nn.Module, task: Any, *, epochs: int) -> Compression:
        os.kill(os.getpid(), signal.SIGKILL)
        return Compression(model, epochs=epochs)


def run(out: Path, engine: Any, **changes: Any) -> tuple[dict[str, Any], ...]:
    methods: dict[str, Method] = changes.pop("methods", parse_methods("dense,magnitude"))
    options: dict[str, Any] = {"sparsities": (0.5, 0.9), "seeds": (0, 1), "training": Training(epochs=2)}
    options |= {"accelerate": False, "progress": False, "threads": 1} | changes
    return compare(network, lambda seed: SequenceTask(), methods, out=out, engine=engine, **options).cells


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def test_without_a_cluster_the_message_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.setattr(ray, "init", nowhere)
    with pytest.raises(SettingError, match="ray start --head"):
        run(tmp_path, "ray")


@pytest.mark.usefixtures("cluster")
def test_a_cluster_gives_what_this_machine_gives(tmp_path: Path) -> None:
    here = run(tmp_path / "here", "inline")
    there = run(tmp_path / "there", "ray", workers=2)
    assert timeless(there) == timeless(here)
    assert all(cell["cost"]["latency_ms"] > 0 for cell in there)
    processes = set()
    for cell in there:
        folder = tmp_path / "there" / "cells" / cell["id"]
        network_here = tmp_path / "here" / "cells" / cell["id"] / "model.gossamer"
        assert (folder / "model.gossamer").read_bytes() == network_here.read_bytes()
        processes.add((folder / "log.txt").read_text().split("process ")[1].split()[0])
    assert len(processes - {str(os.getpid())}) == 2


@pytest.mark.usefixtures("cluster")
def test_what_the_cluster_loses_fails_alone(tmp_path: Path) -> None:
    methods = {"lost": Lost(), **parse_methods("dense")}
    lost, dense = run(tmp_path, "ray", methods=methods, seeds=(0,), workers=1, latency=False)
    assert lost["status"] == "failed"
    assert "the cluster lost the cell" in lost["error"]
    assert dense["status"] == "done"
    assert torch.isfinite(torch.tensor(dense["quality"]["accuracy"]))
