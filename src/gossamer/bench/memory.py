"""How far one piece of work raises the peak memory of a process, measured in a process of its own (Linux).

    peak_bytes("gossamer.bench.families.attention:one_call", "ours", "training")

runs the named function with these words, which sets things up and returns what is to be measured. If that returns a
number, it is added: bytes that the work needs and that were there before it began. The C library is told
to give freed arrays back at once: memory that it keeps for later is not what the work needs.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import torch

from gossamer.errors import GossamerError


def peak_bytes(setup: str, *words: str) -> int | None:
    """Returns by how many bytes the work that `setup` returns raises peak memory; None where it cannot be told.

    Args:
        setup: `module:function`; the function takes `words` and returns a callable.
        words: Its arguments.

    Raises:
        GossamerError: The process failed; the message is the last line it wrote.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-m", "gossamer.bench.memory", setup, *words]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise GossamerError(f"peak memory of {setup} {' '.join(words)} could not be measured: {reason}")
    return int(done.stdout.split()[-1])


def _high_water() -> int:
    """Returns the peak memory of this process in bytes, as Linux counts it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def _main(setup: str, *words: str) -> None:
    torch.set_num_threads(1)
    module, _, name = setup.partition(":")
    work = getattr(importlib.import_module(module), name)(*words)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew from what is there
    before = _high_water()
    held = work() or 0
    sys.stdout.write(f"{_high_water() - before + held}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
