"""Prunes half of the channels of many networks, and says for which the result is right.

    python benchmarks/structure_coverage.py --families zoo,pyg [--only PATTERN] [--out FILE] [--peer]

A network passes if the smaller one runs and keeps the shapes of its outputs, has lost at least 35 % of its parameters,
equals its masked twin to 1e-4 of the largest output, survives a file, and takes a training step. `--peer` prunes the
same networks with Torch-Pruning, in the same process, and applies the same tests as far as it offers them.
"""

from __future__ import annotations

import argparse
import copy
import fnmatch
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gossamer
from gossamer.structure.plan import Plan, arguments, plan
from gossamer.structure.twin import outputs
from gossamer.train.randomness import seeded

LEAST = 0.35  # of the parameters must go


def judge(network: nn.Module, example: Any) -> tuple[str, Plan | None, float]:
    """Returns what is wrong, "" if nothing is; the plan; and the fraction of the parameters that went."""
    args, kwargs = arguments(example)
    expected = [tensor.shape for tensor in outputs(network, args, kwargs)]
    try:
        found = plan(network, example, ratio=0.5)
    except gossamer.errors.ModelError as error:
        return f"refused: {error}", None, 0.0
    small = found.apply(network)
    results = outputs(small, args, kwargs)
    before, after = (sum(parameter.numel() for parameter in net.parameters()) for net in (network, small))
    lost = 1 - after / before
    if [tensor.shape for tensor in results] != expected or type(small) is not type(network):
        return "other output shapes, or another class", found, lost
    with tempfile.TemporaryDirectory() as folder:
        path = gossamer.save(Path(folder) / "net", small)
        again = gossamer.load(path, model=copy.deepcopy(network))
    for one, other in zip(outputs(again, args, kwargs), results, strict=True):
        if not torch.equal(one, other):
            return "differs after a file", found, lost
    return _step(small, args, kwargs) or ("" if lost >= LEAST else f"lost only {lost:.0%}"), found, lost


def _step(small: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    from gossamer.structure.trace import tensors_in

    small.train()
    optimizer = torch.optim.Adam(small.parameters(), lr=1e-4)
    try:
        result = [tensor for tensor in tensors_in(small(*args, **kwargs)) if tensor.is_floating_point()]
        sum(tensor.square().mean() for tensor in result if tensor.requires_grad).backward()
        optimizer.step()
    except Exception as error:
        return f"does not train ({type(error).__name__}: {str(error).splitlines()[0]})"
    return ""


def main() -> None:
    """Prints one line a network, and writes all as JSON where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default="zoo,pyg")
    parser.add_argument("--only", default="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--plans", action="store_true", help="print each plan")
    parser.add_argument("--seconds", type=float, default=330, help="stop after this long; call again to go on")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    done: dict[str, Any] = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    started = time.monotonic()
    for family in options.families.split(","):
        cases = __import__(f"structure.{family}", fromlist=["cases"]).cases()
        for name, make in cases.items():
            if not fnmatch.fnmatch(name, options.only) or name in done:
                continue
            if time.monotonic() - started > options.seconds:
                break
            done[name] = one(name, make, peer=options.peer, plans=options.plans)
            if options.out:
                options.out.write_text(json.dumps(done, indent=1) + "\n")
    passed = sum(record["passed"] for record in done.values())
    print(f"{passed} of {len(done)} pass")


def one(name: str, make: Any, *, peer: bool, plans: bool) -> dict[str, Any]:
    """Returns the record of one network, and prints it."""
    with seeded(0, torch.device("cpu")):
        try:
            network, example = make()
        except Exception as error:
            print(f"{name:<34} not built: {type(error).__name__}: {str(error)[:120]}")
            return {"passed": False, "wrong": f"not built: {error}"}
        began = time.perf_counter()
        try:
            wrong, found, lost = judge(network.eval(), example)
        except Exception as error:
            wrong, found, lost = f"{type(error).__name__}: {error}", None, 0.0
        seconds = time.perf_counter() - began
    record: dict[str, Any] = {"passed": not wrong, "wrong": wrong, "lost": round(lost, 4), "seconds": round(seconds, 3)}
    if found is not None:
        record |= {"difference": found.difference, "unknown": dict(found.unknown), "groups": len(found.groups)}
    text = "ok  " if not wrong else "FAIL"
    print(f"{text} {name:<34} {lost:6.1%} {seconds:6.2f} s  {wrong[:300]}", flush=True)
    if found is not None and found.unknown:
        print(f"     without a rule: {dict(found.unknown)}")
    if plans and found is not None:
        print(found)
    if peer:
        from structure import peer as torch_pruning

        record["peer"] = torch_pruning.record(make)
        print(f"     peer: {record['peer']}", flush=True)
    return record


if __name__ == "__main__":
    main()
