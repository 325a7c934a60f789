"""Saves a compressed network as one file, and loads it into the untouched class without unpickling anything.

The file is a safetensors file: every tensor of the state dict in the layout that `storage` found smallest,
and in the header's metadata, under "gossamer", a JSON plan: what the model is, the changes that lead from
the untouched class to it, how each tensor is stored, and the SHA-256 of the whole file (taken with 64 zeros
in the hash's own place). Loading checks the hash first, so a truncated or altered file is never half
believed; then it replays the changes on a copy of the model given, or on one rebuilt from the zoo, and
fills in the weights. A network made for some of a graph's edges keeps which, for `load_task`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from gossamer import storage
from gossamer.cost import identity
from gossamer.deploy import changes
from gossamer.deploy.changes import Change
from gossamer.errors import DataError, FileError, ModelError, SettingError
from gossamer.files import sha256, write_atomic
from gossamer.graph import KeptEdges
from gossamer.storage import Encoded
from gossamer.tasks.task import Task

FORMAT = 2  # version of the plan; a reader refuses later ones. Kept edges and coded weights are new in 2
_KEY = "gossamer"
_BLANK = "0" * 64
_PARTS = ("values", "positions")
_EDGES = "./edges"  # no module or parameter can be called so
_DIGEST = re.compile(rb'"gossamer":"\{\\"sha256\\":\\"([0-9a-f]{64})\\"')


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a file says about the network in it.

    Attributes:
        model: The class's name and, for a model of the zoo, its `zoo` entry (name and arguments).
        changes: From the untouched class to this network, in order.
        tensors: How tensors of the state dict are stored: `storage` records of the sparse ones, and
            `{"same_as": name}` of those that are another under a second name. All others lie in the file as
            they are, under their own names.
        metadata: What `save` was given.
        edges: Of the edges kept, how many there were and are, and the hash of the graph; None for the whole graph.
    """

    model: dict[str, Any]
    changes: tuple[Change, ...]
    tensors: dict[str, dict[str, Any]]
    metadata: dict[str, Any]
    edges: dict[str, Any] | None = None


def save(
    path: str | Path,
    model: nn.Module,
    *,
    plan: Sequence[Change] | None = None,
    metadata: dict[str, Any] | None = None,
    kept_edges: KeptEdges | None = None,
) -> Path:
    """Writes `model` to one file, whole or not at all.

    Args:
        path: The file; any name, `.safetensors` by custom.
        model: The network; its state dict must hold tensors only.
        plan: The changes that lead from the untouched class to this network; None means the packed layers
            that are found in it.
        metadata: JSON object to keep with it, for example costs and qualities.
        kept_edges: The edges of the graph that the network was made for, where they are not all.

    Returns:
        The path.

    Raises:
        ModelError: The state dict holds something that is not a tensor, or of a dtype the format lacks.
        SettingError: The metadata are not JSON.
        FileError: The file could not be written.
    """
    arrays: dict[str, Tensor] = {}
    records: dict[str, dict[str, Any]] = {}
    first: dict[Any, str] = {}
    for name, tensor in changes.predicting(model).state_dict().items():
        if not isinstance(tensor, Tensor):
            raise ModelError(f"{name}: the state dict holds a {type(tensor).__name__}; only tensors can be saved")
        key = identity(tensor)
        if key is not None and key in first:
            records[name] = {"same_as": first[key]}
            continue
        if key is not None:
            first[key] = name
        encoded = storage.encode(tensor)
        if encoded.record:
            records[name] = encoded.record
            arrays |= {_array(name, part): array for part, array in encoded.arrays.items()}
        else:
            arrays[name] = encoded.arrays["values"]
    plan = changes.found(model) if plan is None else plan
    zoo = getattr(model, "zoo", None)
    text = {
        "sha256": _BLANK,
        "format": FORMAT,
        "model": {"class": f"{type(model).__module__}.{type(model).__qualname__}", "zoo": zoo},
        "changes": [change.to_json() for change in plan],
        "tensors": records,
        "metadata": metadata or {},
    }
    if kept_edges is not None:
        text["edges"] = kept_edges.record()
        arrays |= {_array(_EDGES, part): array for part, array in kept_edges.arrays().items()}
    try:
        data = safetensors.save(arrays, metadata={_KEY: json.dumps(text, allow_nan=False, separators=(",", ":"))})
    except (TypeError, ValueError) as error:
        raise SettingError(f"{path}: metadata must be JSON without NaN ({error})") from error
    except (SafetensorError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: a tensor's dtype cannot be stored ({error}); convert it first") from error
    start, end = _digest_place(data, path)
    data = data[:start] + sha256(data).encode() + data[end:]
    return write_atomic(path, lambda stream: stream.write(data))


def load(path: str | Path, model: nn.Module | None = None) -> nn.Module:
    """Returns the saved network, in eval mode.

    Args:
        path: A file that `save` wrote.
        model: An untouched instance of the network's class, which is copied and left as it is; None for
            models of the zoo, which are rebuilt from their name.

    Raises:
        FileError: The file is missing, truncated, altered, foreign, or of a later format.
        ModelError: The model does not fit the file; the first tensors that do not fit are named with the
            shapes found and expected. Or no model was given and the file is not of a zoo model.
    """
    plan, arrays = _read(path)
    arrays = {name: array for name, array in arrays.items() if not name.startswith(_EDGES)}
    try:
        packed = {name: record for name, record in plan.tensors.items() if "same_as" not in record}
        parts = {
            name: {part: arrays.pop(_array(name, part)) for part in storage.parts(record)}
            for name, record in packed.items()
        }
        state = arrays | {
            name: storage.decode(Encoded(record=record, arrays=parts[name])) for name, record in packed.items()
        }
        for name in plan.tensors.keys() - packed.keys():
            state[name] = state[plan.tensors[name]["same_as"]]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError) as error:
        raise FileError(f"{path}: the plan does not fit the tensors ({error}); the file is damaged") from error
    network = _untouched(path, plan) if model is None else copy.deepcopy(model)
    network = changes.apply(plan.changes, network)
    _fill(path, network, state)
    return network.eval()


def load_task(path: str | Path, task: Task) -> Task:
    """Returns the task that a saved network was made for: on some of the graph's edges, where a method removed others.

    Args:
        path: A file that `save` wrote.
        task: On the graph that the network was compressed on, or on some edges of it.

    Returns:
        The task on the edges that the file keeps; `task` itself where it keeps none.

    Raises:
        FileError: As `load`.
        DataError: The task is on another graph, or on none.
    """
    plan, arrays = _read(path)
    if plan.edges is None:
        return task
    prefix = _array(_EDGES, "")
    try:
        parts = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        kept = KeptEdges.from_arrays(parts, plan.edges)
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path}: the kept edges do not fit their record ({error}); the file is damaged") from error
    whole = task.whole or task
    try:
        return whole.on_graphs(kept.of(whole.graphs()))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_plan(path: str | Path) -> Plan:
    """Returns what the file says about its network, once its hash is checked; raises FileError as `load`."""
    return _read(path)[0]


def _read(path: str | Path) -> tuple[Plan, dict[str, Tensor]]:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"{path}: could not be read ({error.strerror or error})") from error
    start, end = _digest_place(data, path)
    if sha256(data[:start] + _BLANK.encode() + data[end:]).encode() != data[start:end]:
        raise FileError(f"{path}: the checksum does not match; the file was altered or truncated, copy it again")
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        text = json.loads(header["__metadata__"][_KEY])
        if text["format"] > FORMAT:
            raise FileError(
                f"{path}: is of format {text['format']}, this gossamer reads up to {FORMAT}; update gossamer"
            )
        known = tuple(Change.from_json(change) for change in text["changes"])
        plan = Plan(
            model=text["model"],
            changes=known,
            tensors=text["tensors"],
            metadata=text["metadata"],
            edges=text.get("edges"),
        )
        return plan, safetensors.load(data)
    except SettingError as error:
        raise FileError(f"{path}: the plan holds a change this gossamer does not know ({error})") from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise FileError(f"{path}: the plan cannot be read ({error!r}); expected a file made by save()") from error


def _digest_place(data: bytes, path: str | Path) -> tuple[int, int]:
    """Returns where in the file the hash stands."""
    match = _DIGEST.search(data, 0, min(len(data), 8 + int.from_bytes(data[:8], "little")))
    if match is None:
        raise FileError(f"{path}: is not a gossamer model, or its header was altered; expected a file made by save()")
    return match.span(1)


def _array(name: str, part: str) -> str:
    """The name in the file of one array of a sparse tensor; no module or parameter can be called so."""
    return f"{name}./{part}"


def _untouched(path: str | Path, plan: Plan) -> nn.Module:
    zoo = plan.model.get("zoo")
    if not zoo:
        name = plan.model.get("class")
        raise ModelError(f"{path}: holds a {name}, which is not of the zoo; pass an instance, load(path, model=...)")
    from gossamer import models

    built: nn.Module = models.build(zoo["name"], **zoo["arguments"])
    return built


def _fill(path: str | Path, network: nn.Module, state: dict[str, Tensor]) -> None:
    """Puts the weights in, strictly; each parameter and buffer takes the dtype it was saved in."""
    expected = network.state_dict()
    wrong = [f"{name} is missing in the file" for name in expected if name not in state]
    wrong += [f"{name} is not in the model" for name in state if name not in expected]
    for name in expected:
        if name in state and not _lazy(expected[name]) and expected[name].shape != state[name].shape:
            found, wanted = tuple(state[name].shape), tuple(expected[name].shape)
            wrong.append(f"{name} is {found} in the file, the model expects {wanted}")
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelError(
            f"{path}: does not fit {type(network).__name__}: {'; '.join(wrong[:3])}{more}; "
            "build the model with the arguments it was saved with"
        )
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if name in state and not _lazy(tensor):
            tensor.data = tensor.data.to(state[name].dtype)
    network.load_state_dict(state)


def _lazy(tensor: Any) -> bool:
    return isinstance(tensor, UninitializedParameter | UninitializedBuffer)
