"""Describes the machine that a measurement was made on; every report and `gossamer doctor` shows it."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Returns a JSON object that names the machine and the software that times depend on.

    Keys: `processor` (its name), `cores` (that this process may use), `threads` (of PyTorch), `isa` (of the
    native kernels; "reference" without them), `memory_bytes`, `python`, `torch`, `platform`, and
    `accelerator` (the first CUDA device's name, or None).
    """
    import psutil
    import torch

    from gossamer.kernels import native

    return {
        "processor": _processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "isa": native.isa() if native.available() else "reference",
        "memory_bytes": int(psutil.virtual_memory().total),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    """The processor's marketing name where the system tells it, its architecture otherwise."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def cores() -> int:
    """Returns how many cores this process may run on, which in a container is less than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
