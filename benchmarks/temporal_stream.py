"""Follows a stream: against learning all anew for every batch, for how many events a second, and killed in the middle.

    GOSSAMER_DATA=... python -m benchmarks.temporal_stream --data collegemsg --batches 20 --events 300000

Three bars, one JSON object: (1) in so many batches, following takes a fifth or less of the time of starting anew at
each, at an accuracy, before learning, at most two points lower; (2) on a generated stream of `--events`, given to
`gossamer stream` as a file, 10,000 events a second are followed on `--threads` threads, checkpoints included; (3) that
process is killed by SIGKILL at about half, and again given the same command: every event is counted once, and all
numbers are those of a run that nobody killed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from gossamer.graph import talk_events
from gossamer.stream import Online, StreamResult, replay
from gossamer.tasks import datasets
from gossamer.tasks.temporal import Events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="collegemsg")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--nodes", type=int, default=30_000)
    parser.add_argument("--batch", type=int, default=10_000, help="of the generated stream")
    parser.add_argument("--seeds", type=int, default=5, help="of the comparison with starting anew")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    stream = Events.of(datasets.read(options.data))  # type: ignore[arg-type]
    settings = Online(batch=-(-len(stream) // options.batches), epochs=10, keep=0.9)  # chosen on seeds 7 to 9
    found: dict[str, Any] = {"data": options.data, "batches": options.batches, "threads": options.threads}
    found["against_anew"] = [against_anew(stream, settings, seed) for seed in range(options.seeds)]
    with tempfile.TemporaryDirectory() as folder:
        found |= killed(Path(folder), options)
    print(json.dumps(found))


def against_anew(stream: Events, settings: Online, seed: int) -> dict[str, Any]:
    """Follows a stream, and starts anew at each of its batches; returns times, and accuracy in points."""
    warm, anew = (replay(stream, settings.replace(warm=warm), seed=seed) for warm in (True, False))
    took = {"warm": sum(warm.seconds.values()), "anew": sum(anew.seconds.values())}
    return {
        **{f"{name}_s": round(value, 3) for name, value in took.items()},
        "ratio": round(took["anew"] / took["warm"], 2),
        "accuracy": [round(100 * side.accuracy, 2) for side in (warm, anew)],
        "auroc": [round(side.auroc, 4) for side in (warm, anew)],
        "met": took["anew"] >= 5 * took["warm"] and 100 * (anew.accuracy - warm.accuracy) <= 2.0,
        "share_of_training": [round(share(side), 3) for side in (warm, anew)],
    }


def share(result: StreamResult) -> float:
    return result.seconds["train"] / sum(result.seconds.values())


def killed(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Follows a generated stream twice, once undisturbed and once killed, and compares."""
    edges = talk_events(options.nodes, options.events, seed=0)
    assert edges.time is not None
    lines = zip(edges.source.tolist(), edges.target.tolist(), edges.time.tolist(), strict=True)
    file = folder / "events.csv"
    file.write_text("source,target,time\n" + "".join(f"{s},{t},{when}\n" for s, t, when in lines))

    def command(out: Path) -> list[str]:
        words = [sys.executable, "-m", "gossamer", "stream", "--data", str(file), "--out", str(out)]
        every = max(options.events // 6, options.batch)
        return [*words, "--batch", str(options.batch), "--checkpoint", str(every), "--threads", str(options.threads)]

    whole, broken = folder / "whole", folder / "broken"
    begin = time.perf_counter()
    subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - begin
    running = subprocess.Popen(command(broken), stdout=subprocess.DEVNULL)
    while running.poll() is None and not (broken / "stream.state").is_file():
        time.sleep(0.01)
    time.sleep(wall / 20)  # somewhere between two checkpoints
    os.kill(running.pid, signal.SIGKILL)
    was = running.wait()
    unfinished = not (broken / "stream.json").exists()
    subprocess.run(command(broken), check=True, stdout=subprocess.DEVNULL)
    one, two = (json.loads((out / "stream.json").read_text()) for out in (whole, broken))
    took = sum(one["seconds"].values())
    return {
        "rate": {
            "events": one["events"],
            "stages_s": {name: round(value, 2) for name, value in one["seconds"].items()},
            "wall_s": round(wall, 2),
            "events_a_second": round(one["events"] / took),
            "met": one["events"] / took >= 10_000,
        },
        "killed": {
            "by": signal.Signals(-was).name if was < 0 else was,
            "before_its_end": unfinished,
            "events_counted": two["events"],
            "same_batches": one["batches"] == two["batches"],
            "met": was < 0 and unfinished and two["events"] == options.events and one["batches"] == two["batches"],
        },
    }


if __name__ == "__main__":
    main()
