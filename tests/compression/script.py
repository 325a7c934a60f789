"""A user's script that compares: run by tests that kill it, stop it, or take away its disk.

Its task is a class of the script, and it has no `if __name__ == "__main__"`: workers must cope with both. The one
argument is a JSON object: the options of `compare`, `crash` (a label whose cells end their process by this signal),
and `file_bytes` (the largest file that may be written).
"""

import json
import os
import resource
import sys
import time
from typing import Any

import torch

from gossamer.compression import Compression, compare, parse_methods
from gossamer.frontier import Frontier
from gossamer.train import Training
from tests.battery.networks import SequenceTask

options = json.loads(sys.argv[1])
pause = options.pop("pause", 0.0)
crash = options.pop("crash", {})
if "file_bytes" in options:
    resource.setrlimit(resource.RLIMIT_FSIZE, (options.pop("file_bytes"),) * 2)


class Slow(SequenceTask):
    def loss(self, model: torch.nn.Module, batch: Any) -> torch.Tensor:
        time.sleep(pause)
        return super().loss(model, batch)


class Crashing(parse_methods("magnitude")["magnitude"].__class__):  # type: ignore[misc]
    def start(self, model: torch.nn.Module, task: Any, *, epochs: int) -> Compression:
        print("these are the last words", flush=True)
        os.kill(os.getpid(), crash[f"{self.sparsity:g}"])
        return Compression(model, epochs=epochs)


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(160, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))


methods = parse_methods("dense,magnitude")
if crash:
    methods["crashing"] = Crashing()
options = {"sparsities": (0.5,), "seeds": (0, 1, 2), "threads": 1, "accelerate": False, "progress": False} | options
training = Training(epochs=options.pop("epochs", 2), checkpoint_minutes=0)
frontier: Frontier = compare(network, Slow(), methods, training=training, **options)
sys.stdout.write(json.dumps(list(frontier.cells)))
