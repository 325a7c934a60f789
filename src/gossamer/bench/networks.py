"""A network's .gsm file against other engines, in turns: ONNX Runtime, OpenVINO, and PyTorch itself.

A .gsm file holds kernels and no network that others could read, so the peers run files of the same network that lie
beside it: `net.onnx` for ONNX Runtime and OpenVINO, `net.pt2` for PyTorch. Their outputs are compared first.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gossamer.errors import DataError, FileError, MissingExtraError, SettingError, unknown
from gossamer.runtime import Network, load
from gossamer.timing import interleaved, using_threads

Arrays = list[np.ndarray[Any, Any]]
Call = Callable[[Arrays], Arrays]
_BATCH = "batch"
OURS = "gossamer"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One engine on one batch.

    Attributes:
        engine: gossamer, onnx, openvino or eager.
        batch: Rows of the input; None where the network fixes them.
        threads: Of a call.
        median_ms: Time of a call.
        spread_ms: The interquartile range.
        ratio: Its median over ours: above 1 ours is faster.
        difference: The largest of its outputs from ours, as a fraction of the largest output or of 1.
    """

    engine: str
    batch: int | None
    threads: int
    median_ms: float
    spread_ms: float
    ratio: float
    difference: float

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object with every field."""
        return asdict(self)


def compare_network(
    path: Path,
    *,
    batches: Sequence[int] = (1, 32),
    threads: Sequence[int] = (1,),
    against: Sequence[str] = (),
    seconds: float = 2.0,
    seed: int = 0,
) -> list[Row]:
    """Times a network and its peers in turns, for each number of threads and rows.

    Args:
        path: The .gsm file; those of the peers lie beside it.
        batches: Rows of the input, where the network takes any number.
        threads: Of a call.
        against: Names of peers, of `PEERS`.
        seconds: About how long each combination takes.
        seed: Of the random inputs.

    Raises:
        SettingError: A peer is unknown, or a number is out of range.
        MissingExtraError: A peer's library is not installed.
        FileError: A file is missing or damaged.
        DataError: A peer's file is of another network.
    """
    for name in against:
        if name not in PEERS:
            raise SettingError(unknown("engine", name, PEERS))
    if min((*batches, *threads), default=0) < 1:
        raise SettingError("batches and threads are numbers of at least 1")
    rows: list[Row] = []
    for count in threads:
        network = load(path, threads=count)
        calls: dict[str, Call] = {OURS: _ours(network)}
        calls |= {name: PEERS[name](path, count) for name in against}
        free = any(_BATCH in port.shape for port in network.inputs)
        for batch in batches if free else [None]:
            given = inputs_for(network, batch, seed)
            wanted = calls[OURS](given)
            apart = {name: _difference(name, call, given, wanted) for name, call in calls.items()}
            with using_threads(count):
                found = interleaved(
                    {name: functools.partial(call, given) for name, call in calls.items()},
                    repeats=1_000_000,
                    seconds=seconds,
                )
            ours = found[OURS].median_ms
            rows += [
                Row(
                    engine=name,
                    batch=batch,
                    threads=count,
                    median_ms=timing.median_ms,
                    spread_ms=timing.spread_ms,
                    ratio=timing.median_ms / ours,
                    difference=apart[name],
                )
                for name, timing in found.items()
            ]
    return rows


def inputs_for(network: Network, batch: int | None, seed: int) -> Arrays:
    """Returns random inputs: floats of a normal distribution, zeros for indices; other sizes are those of its example.

    Args:
        network: Whose signature they fit.
        batch: Rows, where it takes any number; None takes those of the example.
        seed: Of the random numbers.
    """
    chance = np.random.default_rng(seed)
    examples = network.description.get("example")
    arrays: Arrays = []
    for place, port in enumerate(network.inputs):
        sizes = []
        for axis, size in enumerate(port.shape):
            if isinstance(size, int):
                sizes.append(size)
            elif size == _BATCH and batch is not None:
                sizes.append(batch)
            else:
                try:
                    sizes.append(int(examples[place][axis]))  # type: ignore[index]
                except (TypeError, IndexError, ValueError):
                    raise DataError(f"{network.path}: does not say how large {size} was in its example") from None
        numbers = chance.normal(size=sizes) if port.dtype == "float32" else np.zeros(sizes)
        arrays.append(numbers.astype(port.dtype))
    return arrays


def _ours(network: Network) -> Call:
    def call(arrays: Arrays) -> Arrays:
        found = network(*arrays)
        return list(found) if isinstance(found, tuple) else [found]

    return call


def _difference(name: str, call: Call, given: Arrays, wanted: Arrays) -> float:
    try:
        found = call(given)
    except MissingExtraError:
        raise
    except Exception as error:
        raise DataError(f"{name} does not run the network's inputs: {str(error).splitlines()[0][:200]}") from error
    if [one.shape for one in found] != [one.shape for one in wanted]:
        raise DataError(f"{name} gives other shapes than the network; its file is of another one: export it again")
    return max(
        (
            float(np.abs(a - b).max(initial=0.0) / max(np.abs(b).max(initial=0.0), 1.0))
            for a, b in zip(found, wanted, strict=True)
        ),
        default=0.0,
    )


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtraError(f"{name} is not installed: pip install {extra}") from None


def _beside(path: Path, suffix: str) -> Path:
    found = path.with_suffix(suffix)
    if not found.exists():
        raise FileError(f"{found}: is not there; write the same network with gossamer export --to {found}")
    return found


def _onnx(path: Path, threads: int) -> Call:
    runtime = _library("onnxruntime", "onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = runtime.InferenceSession(str(_beside(path, ".onnx")), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def _openvino(path: Path, threads: int) -> Call:
    openvino = _library("openvino", "openvino")
    core = openvino.Core()
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(str(_beside(path, ".onnx"))), "CPU", hints)
    request = compiled.create_infer_request()
    return lambda arrays: list(request.infer(arrays).values())


def _eager(path: Path, threads: int) -> Call:
    import torch

    import gossamer.kernels  # noqa: F401  the operators of its programs

    module = torch.export.load(_beside(path, ".pt2")).module()

    def call(arrays: Arrays) -> Arrays:
        with torch.inference_mode(), using_threads(threads):
            found = module(*map(torch.from_numpy, arrays))
        return [one.numpy() for one in (found if isinstance(found, tuple | list) else [found])]

    return call


PEERS: dict[str, Callable[[Path, int], Call]] = {"onnx": _onnx, "openvino": _openvino, "eager": _eager}
