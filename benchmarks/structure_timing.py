"""Times tracing and planning against Torch-Pruning, on networks as large as ResNet-50 and BERT-base.

    python benchmarks/structure_timing.py [--repeats 3]

`trace`: one run and its groups, against building the dependency graph. `plan`: all of `gossamer.plan` (with scores, the
removal tried out, the check, and counted costs) against making a pruner and one step of it (which checks nothing).
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gossamer.structure import groups, plan, trace
from gossamer.structure.plan import arguments
from structure.peer import prune


def networks() -> dict[str, tuple[nn.Module, Any]]:
    """Returns both networks with an example of one."""
    import transformers

    return {
        "ResNet-50": (
            transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=1000)).eval(),
            {"pixel_values": torch.randn(1, 3, 224, 224)},
        ),
        "BERT-base": (
            transformers.BertForSequenceClassification(transformers.BertConfig()).eval(),
            {"input_ids": torch.randint(1000, (1, 128))},
        ),
    }


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Returns the median time of a call."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Prints a line a network and step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    import torch_pruning

    for name, (network, example) in networks().items():
        args, kwargs = arguments(example)
        with torch.no_grad():
            forward = seconds(lambda network=network, example=example: network(**example), repeats)
        ours = seconds(lambda network=network, args=args, kwargs=kwargs: groups(trace(network, args, kwargs)), repeats)
        whole = seconds(lambda network=network, example=example: plan(network, example), repeats)

        def graph(network: nn.Module = network, example: Any = example) -> None:
            with torch.enable_grad():
                torch_pruning.DependencyGraph().build_dependency(network, example_inputs=example)

        def peer(network: nn.Module = network, example: Any = example) -> None:
            small = copy.deepcopy(network)
            prune(small, (), example, [one for one in small.classifier.modules() if isinstance(one, nn.Linear)])

        theirs, their_whole = [], []
        for call, into in ((graph, theirs), (peer, their_whole)):
            try:
                into.append(f"{seconds(call, repeats):.2f} s")
            except Exception as error:
                into.append(f"failed ({type(error).__name__}: {str(error).splitlines()[0][:80]})")
        print(f"{name}: forward {forward:.2f} s")
        print(f"  trace {ours:.2f} s, Torch-Pruning {theirs[0]}")
        print(f"  plan  {whole:.2f} s, Torch-Pruning {their_whole[0]}", flush=True)


if __name__ == "__main__":
    main()
