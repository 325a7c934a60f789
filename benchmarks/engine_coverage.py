"""Compiles many networks, and says which compute what PyTorch does and what had no kernel.

    python benchmarks/engine_coverage.py [--families zoo,pyg,hub] [--only PATTERN] [--out FILE]

A network passes if the engine's outputs differ from PyTorch's by at most 1e-4 of the largest, on the example and, where
the batch may change, on half of it. `native` says that nothing ran in PyTorch. `hub` needs the package `transformers`.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import gossamer
from gossamer.counting import tensors_in
from gossamer.deploy.export.export import difference
from gossamer.errors import GossamerError
from gossamer.structure.plan import arguments
from gossamer.train.randomness import seeded

MOST = 1e-4


def judge(network: nn.Module, example: Any) -> dict[str, Any]:
    """Returns the record of one network."""
    args, kwargs = arguments(example)
    given: Any = example if isinstance(example, Mapping) else args
    record: dict[str, Any] = {"dynamic": True}
    try:
        engine = gossamer.deploy.compile(network, given, threads=1)
    except GossamerError as error:
        record |= {"dynamic": False, "fixed_because": str(error)[:200]}
        engine = gossamer.deploy.compile(network, given, dynamic=False, threads=1)
    cases = [(args, kwargs)]
    with torch.no_grad():
        if record["dynamic"] and isinstance(example, Mapping):
            half = {name: one[:1] if isinstance(one, Tensor) else one for name, one in kwargs.items()}
            cases.append((args, half))
        worst = 0.0
        for some, named in cases:
            expected = list(tensors_in(network(*some, **named)))
            tensors = {name: one for name, one in named.items() if isinstance(one, Tensor)}
            found = engine(*some, **tensors)
            worst = max(worst, difference([found] if isinstance(found, Tensor) else list(found), expected))
    missing = dict(Counter(engine.torch_steps))
    return record | {"passed": worst <= MOST, "difference": worst, "native": not missing, "torch": missing}


def main() -> None:
    """Prints one line a network, and writes all as JSON where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default="zoo,pyg,hub")
    parser.add_argument("--only", default="*")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    done: dict[str, Any] = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    for family in options.families.split(","):
        for name, make in __import__(f"structure.{family}", fromlist=["cases"]).cases().items():
            if not fnmatch.fnmatch(name, options.only) or name in done:
                continue
            done[name] = one(name, make)
            if options.out:
                options.out.write_text(json.dumps(done, indent=1) + "\n")
    passed, native = (sum(bool(record.get(key)) for record in done.values()) for key in ("passed", "native"))
    print(f"{passed} of {len(done)} equal PyTorch, {native} without a PyTorch step")


def one(name: str, make: Any) -> dict[str, Any]:
    """Returns the record of one network, and prints it."""
    with seeded(0, torch.device("cpu")):
        began = time.perf_counter()
        try:
            network, example = make()
            record = judge(network.eval(), example)
        except Exception as error:
            record = {"passed": False, "wrong": f"{type(error).__name__}: {str(error)[:200]}"}
        record["seconds"] = round(time.perf_counter() - began, 2)
    text = "ok  " if record["passed"] else "FAIL"
    rest = record.get("wrong") or ("native" if record["native"] else f"in PyTorch: {record['torch']}")
    print(
        f"{text} {name:<28} {record.get('difference', float('nan')):.1e} {record['seconds']:6.1f} s  {rest}", flush=True
    )
    return record


if __name__ == "__main__":
    main()
