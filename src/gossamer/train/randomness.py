"""The global random generators (PyTorch's, NumPy's, Python's), lent to a run and given back after it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

_NUMPY_SEEDS = 2**32


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds the global generators for the time of the block; afterwards they are as they were before it."""
    ours, theirs = random.getstate(), np.random.get_state()  # noqa: NPY002 - users' code may draw from it
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        np.random.seed(seed % _NUMPY_SEEDS)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(theirs)  # noqa: NPY002


def generator_states(device: torch.device) -> dict[str, Any]:
    """Returns the states of the global generators, as `save_state` takes them."""
    kind, numpy_words, *numpy_rest = np.random.get_state(legacy=True)  # noqa: NPY002
    version, python_words, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": (kind, torch.from_numpy(np.asarray(numpy_words, dtype=np.int64)), *numpy_rest),
        "python": (version, torch.tensor(python_words, dtype=torch.int64), gauss),
    }


def set_generator_states(states: dict[str, Any], device: torch.device) -> None:
    """Takes back what `generator_states` returned."""
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"], device)
    kind, numpy_words, *numpy_rest = states["numpy"]
    np.random.set_state((kind, numpy_words.numpy().astype(np.uint32), *numpy_rest))  # noqa: NPY002
    version, python_words, gauss = states["python"]
    random.setstate((version, tuple(python_words.tolist()), gauss))
