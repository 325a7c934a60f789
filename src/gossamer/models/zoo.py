"""Networks by name.

A network made here remembers its name and every argument, defaults included, in its attribute `zoo`; a saved
file carries that, so the network can be rebuilt later even if a default has changed by then.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from torch import nn

from gossamer.errors import ModelError, SettingError, unknown
from gossamer.models.graph import APPNP, FNN, GAT, GCN, GIN, MLP, SAGE, Readout
from gossamer.models.vision import VGG16, LeNet, Mixer, ResNet, Swin, ViT


class Sized(Protocol):
    """What `for_task` asks of a task."""

    def dimensions(self) -> dict[str, int]:
        """Returns constructor keywords, {in_features, out_features} or {in_channels, classes, image_size}."""
        ...

    def example(self) -> tuple[Any, ...]:
        """Returns the positional arguments of one call of the model."""
        ...


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the zoo knows about a name."""

    model: Callable[..., nn.Module]
    defaults: dict[str, Any] = field(default_factory=dict)  # where a name differs from the class
    training: dict[str, Any]  # in the JSON form of `gossamer.train.Training`

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Returns the arguments of the network by name."""
        return dict(inspect.signature(self.model).parameters)


def build(name: str, **arguments: Any) -> nn.Module:
    """Makes a network with fresh weights.

    Args:
        name: A name from `names()`.
        **arguments: Arguments of the network's class; see `gossamer.models.graph` and
            `gossamer.models.vision`. Graph networks also take `per_graph=True`, which pools the nodes and
            answers once per graph.

    Returns:
        The network; its attribute `zoo` is `{"name": ..., "arguments": {...}}`, which goes to JSON.

    Raises:
        SettingError: The name or an argument is unknown.
        ModelError: A width that has no default is missing, or the arguments do not fit each other.

    >>> build("mlp", in_features=8, hidden=4, out_features=3).zoo["arguments"]
    {'in_features': 8, 'hidden': 4, 'out_features': 3, 'layers': 2, 'dropout': 0.5}
    """
    entry = _entry(name)
    parameters = entry.parameters()
    arguments = entry.defaults | arguments
    per_graph = arguments.pop("per_graph", False) if _on_graphs(entry) else False
    for key in arguments:
        if key not in parameters:
            raise SettingError(unknown(f"argument of {name}", key, parameters))
    missing = [
        key for key, one in parameters.items() if one.default is inspect.Parameter.empty and key not in arguments
    ]
    if missing:
        raise ModelError(f"{name} needs {' and '.join(missing)}; pass them, or use models.for_task with a task")
    full = {key: arguments.get(key, parameter.default) for key, parameter in parameters.items()}
    if per_graph:
        if not isinstance(full["hidden"], int):
            raise ModelError(f"{name}: hidden is {full['hidden']}; expected one width, to pool the nodes of a graph at")
        encoder = entry.model(**full | {"out_features": full["hidden"]})
        model: nn.Module = Readout(encoder, full["hidden"], full["out_features"], dropout=full["dropout"])
        full["per_graph"] = True
    else:
        model = entry.model(**full)
    model.zoo = cast("Any", {"name": name, "arguments": full})
    return model


def for_task(name: str, task: Sized, **overrides: Any) -> nn.Module:
    """Makes a network with fresh weights whose widths are those of a task.

    A task whose example has a third argument, the graph of each node, gets a network that answers once per
    graph.

    Args:
        name: A name from `names()`.
        task: What the network must do.
        **overrides: Arguments of the network that are not to be the defaults.

    Raises:
        SettingError: The name or an argument is unknown.
        ModelError: The network is for other data, for example images where the task has a graph; or the task
            says no dimensions and `overrides` do not either.
    """
    entry = _entry(name)
    dimensions: dict[str, Any] = task.dimensions()
    if dimensions and _on_graphs(entry) != ("in_features" in dimensions):
        here, there = ("graphs", "images") if _on_graphs(entry) else ("images", "graphs")
        fitting = [other for other in names() if _on_graphs(_entry(other)) != _on_graphs(entry)]
        raise ModelError(f"{name} is a network on {here}, but the task is on {there}; use {', '.join(fitting)}")
    arguments = {key: value for key, value in dimensions.items() if key in entry.parameters()}
    if _on_graphs(entry) and len(task.example()) == 1 and not _alone(entry):
        fitting = [other for other in names() if _on_graphs(_entry(other)) and _alone(_entry(other))]
        raise ModelError(f"{name} needs a graph, but the task gives vectors alone; use {', '.join(fitting)}")
    if _on_graphs(entry) and len(task.example()) == 3:
        arguments["per_graph"] = True
    return build(name, **arguments | overrides)


def names() -> list[str]:
    """Returns the names of the networks, sorted."""
    return sorted(_ZOO)


def default_training(name: str) -> dict[str, Any]:
    """Returns a good way to train a network, in the JSON form of `gossamer.train.Training`.

    Optimisers and their settings are those of the networks' papers. Graph networks train for a fixed number of
    epochs: on small validation splits, patience ends some runs at an early lucky epoch.

    Raises:
        SettingError: The name is unknown.

    >>> default_training("gcn")["optimizer"]
    {'name': 'adam', 'learning_rate': 0.01, 'weight_decay': 0.0005}
    """
    return copy.deepcopy(_entry(name).training)


def _entry(name: str) -> Entry:
    if name not in _ZOO:
        raise SettingError(unknown("model", name, _ZOO))
    return _ZOO[name]


def _on_graphs(entry: Entry) -> bool:
    return "in_features" in entry.parameters()


def _alone(entry: Entry) -> bool:
    """Says whether a network on graphs does without one."""
    return inspect.signature(entry.model.forward).parameters["graph"].default is None  # type: ignore[attr-defined]


def _adam(epochs: int, *, learning_rate: float, weight_decay: float) -> dict[str, Any]:
    optimizer = {"name": "adam", "learning_rate": learning_rate, "weight_decay": weight_decay}
    return {"epochs": epochs, "optimizer": optimizer}


def _sgd(epochs: int, *, learning_rate: float, weight_decay: float, schedule: dict[str, Any]) -> dict[str, Any]:
    optimizer = {"name": "sgd", "learning_rate": learning_rate, "weight_decay": weight_decay, "momentum": 0.9}
    return {"epochs": epochs, "optimizer": optimizer, "schedule": schedule}


_RESNET = _sgd(
    164,  # 64,000 steps of 128 images out of 50,000
    learning_rate=0.1,
    weight_decay=1e-4,
    schedule={"name": "multistep", "at": [0.5, 0.75], "gamma": 0.1},
)

_ON_PATCHES: dict[str, Any] = {
    "epochs": 100,
    "optimizer": {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05},
    "schedule": {"name": "onecycle", "peak": 0.1},
}

_ZOO: dict[str, Entry] = {
    "appnp": Entry(model=APPNP, defaults={"hidden": 64}, training=_adam(300, learning_rate=0.01, weight_decay=5e-4)),
    "fnn": Entry(
        model=FNN,
        defaults={"hidden": 128},
        training={
            "epochs": 20,
            "optimizer": {"name": "sgd", "learning_rate": 0.05, "weight_decay": 0.0, "momentum": 0.0},
            "schedule": {"name": "exponential", "gamma": 0.98},
        },
    ),
    "fnn-node": Entry(
        model=FNN,
        defaults={"hidden": [256, 128], "bias": False, "dropout": 0.1},
        training={
            **_adam(20, learning_rate=0.004, weight_decay=1e-3),
            "schedule": {"name": "exponential", "gamma": 0.99},
        },
    ),
    "gat": Entry(model=GAT, defaults={"hidden": 64}, training=_adam(300, learning_rate=0.005, weight_decay=5e-4)),
    "gcn": Entry(model=GCN, defaults={"hidden": 64}, training=_adam(200, learning_rate=0.01, weight_decay=5e-4)),
    "gin": Entry(model=GIN, defaults={"hidden": 64}, training=_adam(200, learning_rate=0.01, weight_decay=5e-4)),
    "mlp": Entry(model=MLP, defaults={"hidden": 64}, training=_adam(200, learning_rate=0.01, weight_decay=5e-4)),
    "sage": Entry(model=SAGE, defaults={"hidden": 64}, training=_adam(200, learning_rate=0.01, weight_decay=5e-4)),
    "lenet": Entry(model=LeNet, training=_adam(20, learning_rate=1e-3, weight_decay=0.0)),
    "resnet20": Entry(model=ResNet, defaults={"depth": 20}, training=_RESNET),
    "resnet56": Entry(model=ResNet, defaults={"depth": 56}, training=_RESNET),
    "vgg16": Entry(
        model=VGG16,
        training=_sgd(160, learning_rate=0.05, weight_decay=5e-4, schedule={"name": "cosine", "final": 0.0}),
    ),
    "mixer": Entry(model=Mixer, training=_ON_PATCHES),
    "swin": Entry(model=Swin, training=_ON_PATCHES),
    "vit": Entry(model=ViT, training=_ON_PATCHES),
}
