"""What the engine promises beside its speed on one network, each against its bar, on this machine.

    python -m benchmarks.engine_bars            everything but the soak
    python -m benchmarks.engine_bars soak       a million inferences of a small network, and the memory they leave

- call: an empty plan, called from Python through a file and through an engine; at most 5 µs.
- load: a file of 500 MB, from the page cache; at most 50 ms. The first answer, which checks it, is timed beside it.
- callers: two threads of Python that call one network at the same time, against one; at least 1.8 times the answers.
- memory: most memory of a process that loads ResNet-20 and runs it, against one with ONNX Runtime; no more than that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

MB = 1 << 20


def empty(folder: Path) -> dict[str, Any]:
    import numpy as np
    import torch
    from torch import nn

    from gossamer import runtime
    from gossamer.deploy import compile as compile_network

    class Least(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    engine = compile_network(Least(), (torch.zeros(1, 4),), threads=1)
    network = runtime.load(engine.save(folder / "empty.gsm"), threads=1)
    array, tensor = np.zeros((1, 4), np.float32), torch.zeros(1, 4)
    found = {}
    for name, call in {"file": lambda: network(array), "engine": lambda: engine(tensor)}.items():
        for _ in range(1000):
            call()
        times = []
        for _ in range(200):
            start = time.perf_counter_ns()
            for _ in range(100):
                call()
            times.append((time.perf_counter_ns() - start) / 100_000)
        found[f"{name}_us"] = statistics.median(times)
    return found


def load(folder: Path) -> dict[str, Any]:
    import numpy as np
    import torch
    from torch import nn

    from gossamer import runtime
    from gossamer.deploy import compile as compile_network

    path = folder / "large.gsm"
    compile_network(nn.Sequential(*[nn.Linear(5000, 5000) for _ in range(5)]), (torch.zeros(1, 5000),), threads=2).save(
        path
    )
    times, firsts = [], []
    for _ in range(7):
        start = time.perf_counter()
        network = runtime.load(path, threads=2)
        loaded = time.perf_counter()
        network(np.zeros((1, 5000), np.float32))
        times.append(1e3 * (loaded - start))
        firsts.append(1e3 * (time.perf_counter() - start))
    return {
        "mb": path.stat().st_size / 1e6,
        "load_ms": max(times),
        "load_and_first_answer_ms": statistics.median(firsts),
    }


def _resnet(folder: Path) -> Path:
    import torch

    from gossamer.deploy import compile as compile_network
    from gossamer.deploy import export
    from gossamer.models import build

    model, example = build("resnet20", in_channels=3, classes=10).eval(), (torch.randn(2, 3, 32, 32),)
    export(model, example, folder / "resnet.onnx")
    return compile_network(model, example, threads=1).save(folder / "resnet.gsm")


def callers(folder: Path) -> dict[str, Any]:
    import numpy as np

    from gossamer import runtime

    path = folder / "resnet.gsm"
    network = runtime.load(path if path.exists() else _resnet(folder), threads=1)
    x = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)

    def answers(count: int, seconds: float = 1.0) -> float:
        done = [0] * count
        end = time.perf_counter() + seconds

        def work(place: int) -> None:
            while time.perf_counter() < end:
                network(x)
                done[place] += 1

        threads = [threading.Thread(target=work, args=(place,)) for place in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / seconds

    answers(2, 0.5)
    one, two = zip(*((answers(1), answers(2)) for _ in range(5)), strict=True)
    return {
        "one": statistics.median(one),
        "two": statistics.median(two),
        "ratio": statistics.median(two) / statistics.median(one),
    }


MEMORY = """
import numpy as np
def most():
    return [line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0]
x = np.zeros(({batch}, 3, 32, 32), np.float32)
before = most()
{body}
for _ in range(20):
    run()
print(before, most())
"""
OURS = "from gossamer import runtime\nnetwork = runtime.load({path!r}, threads=1)\nrun = lambda: network(x)"
THEIRS = """import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession({path!r}, options, providers=['CPUExecutionProvider'])
name = session.get_inputs()[0].name
run = lambda: session.run(None, {{name: x}})"""


def memory(folder: Path) -> dict[str, Any]:
    path = folder / "resnet.gsm"
    if not path.exists():
        _resnet(folder)
    found: dict[str, Any] = {}
    for batch in (1, 32):
        for name, body, file in (("gossamer", OURS, path), ("onnx", THEIRS, path.with_suffix(".onnx"))):
            script = MEMORY.format(batch=batch, body=body.format(path=str(file)))
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            before, after = map(int, done.stdout.split())
            found[f"{name}_batch_{batch}_mb"] = after / 1024
            found[f"{name}_batch_{batch}_own_mb"] = (after - before) / 1024
    return found


def soak(folder: Path, calls: int = 1_000_000) -> dict[str, Any]:
    import numpy as np
    import psutil
    import torch
    from torch import nn

    from gossamer import runtime
    from gossamer.deploy import compile as compile_network

    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    network = runtime.load(
        compile_network(model, (torch.zeros(2, 16),), threads=1).save(folder / "soak.gsm"), threads=1
    )
    inputs = [np.random.default_rng(rows).normal(size=(rows, 16)).astype(np.float32) for rows in range(1, 41)]
    own = psutil.Process()
    resident = []
    for place in range(calls):  # forty sizes: more than are remembered, so that layouts come and go too
        network(inputs[place % 8 if place % 100 else place // 100 % 40])
        if place % (calls // 10) == calls // 20:
            resident.append(own.memory_info().rss)
    return {
        "calls": calls,
        "mb": [round(one / MB, 1) for one in resident],
        "growth_kb": (resident[-1] - resident[1]) / 1024,
    }


PARTS = {"call": empty, "load": load, "callers": callers, "memory": memory, "soak": soak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=[name for name in PARTS if name != "soak"], choices=[*PARTS, []])
    parser.add_argument("--folder", type=Path, help="where files are kept, so that a second run finds them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.parts:
            print(json.dumps({name: PARTS[name](folder)}), flush=True)


if __name__ == "__main__":
    main()
