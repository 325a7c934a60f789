"""Times the forms that a network can be deployed in, in turns, on this machine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.counting import tensors_in
from gossamer.deploy.accelerate import accelerate
from gossamer.deploy.export import onnx, program
from gossamer.deploy.export.export import difference
from gossamer.deploy.export.inputs import inputs_of
from gossamer.deploy.export.quiet import quiet
from gossamer.deploy.export.trace import predicting, with_our_layers
from gossamer.graph import CSR
from gossamer.timing import Timing, interleaved, using_threads

Run = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to run a network.

    Attributes:
        name: eager, accelerated, compiled, onnx or pt2.
        timing: Of one call on the example; None if it does not run.
        difference: Of its outputs from the network's, as in `Exported.max_error`; None if it does not run.
        bytes: Size of the file; None for a form without one.
        note: What was done to it, or why it does not run.
    """

    name: str
    timing: Timing | None
    difference: float | None
    bytes: int | None
    note: str

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object with times in milliseconds."""
        timing = self.timing
        return {
            "name": self.name,
            "median_ms": None if timing is None else timing.median_ms,
            "spread_ms": None if timing is None else timing.spread_ms,
            "difference": self.difference,
            "bytes": self.bytes,
            "note": self.note,
        }


def compare_exports(
    model: nn.Module,
    example: Sequence[Any],
    *,
    threads: int | None = None,
    compiled: bool = True,
    repeats: int = 100,
    seconds: float = 3.0,
) -> list[Form]:
    """Times a network in eager mode, accelerated, compiled, in ONNX Runtime and as a `.pt2` program, in turns.

    The first three are called with the example as it is, and what they derive from its graph is kept from call to
    call; the files are called with edges, and read them anew in every call. No file is left behind.

    Args:
        model: The network; it is left as it is.
        example: Its positional arguments, as `export` takes them.
        threads: Of every form; None keeps PyTorch's number.
        compiled: Whether to try `torch.compile`, which takes long and needs a C++ compiler.
        repeats: Most rounds.
        seconds: How long to time all of them together.

    Returns:
        One form each, in the order above; those that do not run say why.
    """
    inputs = inputs_of(model, example)
    plain = predicting(model)
    network = with_our_layers(plain, inputs)
    files: dict[str, bytes] = {}
    dense = ", features dense" if any(isinstance(argument, CSR) for argument in example) else ""

    def eager() -> tuple[Run, str]:
        return lambda: plain(*example), ""

    def accelerated() -> tuple[Run, str]:
        quick = accelerate(plain, tuple(example), threads=threads)
        return lambda: quick.model(*example), quick.reason

    def compile_() -> tuple[Run, str]:
        torch.compiler.reset()
        quick = torch.compile(copy.deepcopy(plain))
        return lambda: quick(*example), ""

    def to_onnx() -> tuple[Run, str]:
        files["onnx"] = onnx.to_bytes(network, inputs)
        run = onnx.runner(files["onnx"], threads)
        return lambda: run(inputs.values), f"in ONNX Runtime{dense}"

    def to_pt2() -> tuple[Run, str]:
        files["pt2"] = program.to_bytes(network, inputs)
        run = program.runner(files["pt2"])
        return lambda: run(inputs.values), f"by torch.export{dense}"

    makers = {"eager": eager, "accelerated": accelerated, "compiled": compile_, "onnx": to_onnx, "pt2": to_pt2}
    if not compiled:
        del makers["compiled"]
    calls: dict[str, Run] = {}
    outputs: dict[str, list[Tensor]] = {}
    notes: dict[str, str] = {}
    with torch.no_grad(), using_threads(threads):
        for name, make in makers.items():
            try:
                with quiet():
                    call, notes[name] = make()
                    outputs[name] = [tensor.clone() for tensor in tensors_in(call())]
                calls[name] = call
            except Exception as error:
                if name == "eager":
                    raise
                notes[name] = f"does not run: {' '.join(str(error).split())[:200]}"
        times = interleaved(calls, repeats=repeats, seconds=seconds)
    return [
        Form(
            name=name,
            timing=times.get(name),
            difference=difference(outputs[name], outputs["eager"]) if name in calls else None,
            bytes=len(files[name]) if name in files else None,
            note=notes[name],
        )
        for name in makers
    ]
