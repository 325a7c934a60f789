"""Times compiled networks against ONNX Runtime and OpenVINO: dense, sparse, and on graphs.

All run the same weights with the same threads and take turns in one run; outputs are compared first. The peers get the
ONNX file of `gossamer export`, of fixed sizes. A row's ratio is the time of the faster peer over ours.

    python -m benchmarks.engine dense --networks resnet20 vgg16 --batches 1 32 --threads 1 2
    python -m benchmarks.engine sparse --networks resnet20
    python -m benchmarks.engine int8 --networks resnet20
    python -m benchmarks.engine graph --networks gcn
"""

from __future__ import annotations

import argparse
import importlib.metadata
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import openvino
import torch
from torch import Tensor, nn

from benchmarks.engine_networks import example, network, prune
from gossamer import machine
from gossamer.deploy import compile as compile_network
from gossamer.deploy.export import export
from gossamer.files import read_json, write_json
from gossamer.graph import Graph, power_law
from gossamer.models.graph import GAT, GCN, SAGE
from gossamer.timing import interleaved

RESULTS = Path("benchmarks/results/engine")
PIECES = {
    "dense": (("resnet20", "vgg16", "mobilenetv2", "vit", "bert"), (1, 32)),
    "sparse": (("resnet20", "vgg16"), (1, 32)),
    "int8": (("resnet20", "vgg16"), (1,)),
    "graph": (("gcn", "sage", "gat"), (1,)),
}
SPARSE = {"blocks-80": (0.8, 16, 1.8), "blocks-90": (0.9, 16, 2.8), "single-95": (0.95, 1, 3.0)}  # zeros, height, bar
DENSE_BAR, GRAPH_BAR = 0.8, 3.0
_REST = 0.01  # seconds
NODES, EDGES, WIDTH = 170_000, 2_300_000, 128

Call = Callable[[], Any]


def peers(path: str, tensors: list[Tensor], threads: int) -> dict[str, Call]:
    """Returns calls of an ONNX file in both peers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {one.name: tensor.numpy() for one, tensor in zip(session.get_inputs(), tensors, strict=True)}
    return {"onnxruntime": lambda: session.run(None, given)[0], "openvino": in_openvino(path, tensors, threads)}


def in_openvino(model: Any, tensors: list[Tensor], threads: int) -> Call:
    """Returns a call of a model in OpenVINO, in 32 bits where the model does not say otherwise."""
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    arrays = [tensor.numpy() for tensor in tensors]
    return lambda: next(iter(request.infer(arrays, share_inputs=True, share_outputs=True).values()))


def in_int8(path: str, tensors: list[Tensor], threads: int) -> Call:
    """Returns a call of a network that NNCF has quantised after training, in OpenVINO."""
    import nncf

    data = nncf.Dataset([[torch.randn_like(one).numpy() for one in tensors] for _ in range(32)])
    return in_openvino(nncf.quantize(openvino.Core().read_model(path), data, subset_size=32), tensors, threads)


def agree(calls: dict[str, Call], expected: Tensor) -> None:
    """Checks that all compute the same: ours to 1e-4 of the largest number, the peers near enough to be the network."""
    scale = max(float(expected.abs().max()), 1.0)
    for name, call in calls.items():
        worst = float((torch.as_tensor(call()) - expected).abs().max()) / scale
        if worst > (1e-4 if name == "gossamer" else 1e-2):
            raise SystemExit(f"{name}: off by {worst:.1e}")


def row(labels: dict[str, Any], calls: dict[str, Call], bar: float, seconds: float) -> dict[str, Any]:
    """Times calls, of which one is ours.

    Threads of each library spin for a while after a call, in the way of whoever comes next: with several threads there
    is a rest between calls, and an untimed call of the same before each timed one.
    """
    several = labels["threads"] > 1
    turns: dict[str, Call] = {}
    for name, call in calls.items():
        turns |= ({f"rest before {name}": lambda: time.sleep(_REST)} if several else {}) | {name: call}
    timed = interleaved(turns, repeats=100_000, seconds=seconds, warm=int(several))
    times = {name: timed[name] for name in calls}
    fastest = min((name for name in times if name != "gossamer"), key=lambda name: times[name].median_ms)
    ratio = times[fastest].median_ms / times["gossamer"].median_ms
    ms = {name: {"median": round(t.median_ms, 4), "spread": round(t.spread_ms / 2, 4)} for name, t in times.items()}
    return labels | {"ms": ms, "fastest_peer": fastest, "ratio": round(ratio, 3), "bar": bar, "met": ratio >= bar}


def exported(model: nn.Module, arguments: tuple[Any, ...], folder: str, name: str) -> str:
    """Writes a network as ONNX, unless the folder has it already, and returns the path."""
    path = Path(folder) / f"{name}.onnx"
    if not path.exists():
        export(model, arguments, path, dynamic=False, check=False)
    return str(path)


def compiled(model: nn.Module, arguments: tuple[Any, ...], threads: int) -> Call:
    engine = compile_network(model, arguments, threads=threads)
    return lambda: engine(*arguments)


def dense(name: str, batch: int, threads: int, folder: str, seconds: float) -> Iterator[dict[str, Any]]:
    """A dense network against both peers."""
    model, x = network(name), example(name, batch)
    calls = {
        "gossamer": compiled(model, (x,), threads),
        **peers(exported(model, (x,), folder, f"{name}-{batch}"), [x], threads),
    }
    agree(calls, model(x))
    yield row({"network": name, "form": "dense", "batch": batch, "threads": threads}, calls, DENSE_BAR, seconds)


def sparse(name: str, batch: int, threads: int, folder: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Pruned networks against the dense one in both peers, whose time does not depend on the weights."""
    x = example(name, batch)
    others = peers(exported(network(name), (x,), folder, f"{name}-{batch}"), [x], threads)
    for form, (zeros, height, bar) in SPARSE.items():
        model = prune(network(name), zeros, height)
        calls = {"gossamer": compiled(model, (x,), threads)}
        agree(calls, model(x))
        labels = {"network": name, "form": form, "batch": batch, "threads": threads}
        yield row(labels, calls | others, bar, seconds)


def int8(name: str, batch: int, threads: int, folder: str, seconds: float) -> Iterator[dict[str, Any]]:
    """A network with nine tenths of its weights gone against the dense one in 8 bits."""
    x = example(name, batch)
    other = in_int8(exported(network(name), (x,), folder, f"{name}-{batch}"), [x], threads)
    model = prune(network(name), 0.9, 16)
    calls = {"gossamer": compiled(model, (x,), threads)}
    agree(calls, model(x))
    labels = {"network": name, "form": "blocks-90 against int8", "batch": batch, "threads": threads}
    yield row(labels, {**calls, "openvino int8": other}, 1.0, seconds)


def graph(name: str, batch: int, threads: int, folder: str, seconds: float) -> Iterator[dict[str, Any]]:
    """A network on a large graph whose degrees follow a power law."""
    torch.manual_seed(0)
    data: Graph = power_law(NODES, EDGES, seed=0)
    x = torch.randn(NODES, WIDTH)
    made = {"gcn": GCN, "sage": SAGE, "gat": GAT}[name](WIDTH, WIDTH, WIDTH).eval()
    calls = {"gossamer": compiled(made, (x, data), threads)}
    calls |= peers(exported(made, (x, data), folder, name), [x, data.to_edge_index()], threads)
    agree(calls, made(x, data))
    labels = {"network": name, "form": f"{NODES} nodes, {EDGES} edges", "batch": batch, "threads": threads}
    yield row(labels, calls, GRAPH_BAR, seconds)


def save(piece: str, rows: list[dict[str, Any]]) -> None:
    """Puts rows in place of older ones of the same case."""
    path = RESULTS / f"{piece}.json"
    key = ("network", "form", "batch", "threads")
    before = read_json(path)["rows"] if path.exists() else []
    known = {tuple(one[label] for label in key): one for one in [*before, *rows]}
    versions = {name: importlib.metadata.version(name) for name in ("torch", "onnxruntime", "openvino", "nncf")}
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(path, {"machine": machine.describe(), "versions": versions, "rows": list(known.values())})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("piece", choices=PIECES)
    parser.add_argument("--networks", nargs="+")
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=4.0, help="of timing, for each row")
    parser.add_argument("--folder", help="keeps the exported files, so that a second run has more time to time")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    names, batches = PIECES[options.piece]
    run = {"dense": dense, "sparse": sparse, "int8": int8, "graph": graph}[options.piece]
    for name in options.networks or names:
        for batch in options.batches or batches:
            for threads in options.threads:
                torch.set_num_threads(threads)
                with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
                    for one in run(name, batch, threads, options.folder or folder, options.seconds):
                        save(options.piece, [one])
                        shown = ", ".join(
                            f"{key} {t['median']:.3f} ± {t['spread']:.3f} ms" for key, t in one["ms"].items()
                        )
                        print(f"{name}, {one['form']}, batch {batch}, {threads} threads: {shown}; {one['ratio']:.2f}x "
                              f"(bar {one['bar']})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
