"""How sparse a network's activations and gradients are by themselves: exact zeros, layer by layer, on a task's data.

Zeros that come with the input, such as those behind a ReLU, are ephemeral: other inputs have others. What a layer reads
says how many of its products are with zero; what it gets back says the same of the backward pass. The kinds are those
of Hoefler et al., "Sparsity in deep learning", JMLR 2021.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.counting import evaluating, tensors_in
from gossamer.errors import ModelError
from gossamer.graph import CSR
from gossamer.tasks.task import Split, Task


@dataclass(frozen=True, kw_only=True)
class LayerZeros:
    """Fractions of exact zeros in [0, 1]; None where there was nothing to count.

    Attributes:
        name: The layer's name in the network.
        kind: Its class name.
        inputs: Of what it reads.
        outputs: Of what it writes, before whatever activation comes next.
        output_gradients: Of the loss's gradient for what it writes, batch by batch.
        weights: Of its parameters with two dimensions or more.
        weight_gradients: Of the loss's gradient for these, removed weights included.
    """

    name: str
    kind: str
    inputs: float | None
    outputs: float | None
    output_gradients: float | None
    weights: float | None
    weight_gradients: float | None

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object."""
        return asdict(self)


def zeros(model: nn.Module, task: Task, split: Split = "val", *, batches: int | None = None) -> tuple[LayerZeros, ...]:
    """Returns how sparse activations and gradients are in every layer that a prediction calls, in order of the modules.

    Layers are the modules with a parameter of two dimensions or more. The network runs in eval mode and is left as it
    was; parameters that need no gradient are passed over.

    Args:
        model: The network.
        task: Gives the data and the loss.
        split: Of the task.
        batches: How many at most; None for all.

    Raises:
        ModelError: The network calls no such layer.

    >>> from gossamer.models import for_task
    >>> from gossamer.tasks import datasets
    >>> task = datasets.task("digits-graph")
    >>> [layer.name for layer in zeros(for_task("gcn", task), task)]
    ['convs.0.linear', 'convs.1.linear']
    """
    layers = {name: module for name, module in model.named_modules() if _matrices(module)}
    counts = {name: _Counts() for name in layers}
    handles = [layer.register_forward_hook(_counting(counts[name])) for name, layer in layers.items()]
    learning = {name: [value for value in _matrices(layer) if value.requires_grad] for name, layer in layers.items()}
    wanted = [value for values in learning.values() for value in values]
    try:
        with evaluating(model), torch.enable_grad():
            for batch in islice(task.batches(split), batches):
                loss = task.loss(model, batch)
                gradients = torch.autograd.grad(loss, wanted, allow_unused=True) if wanted else ()
                by_weight = {id(weight): gradient for weight, gradient in zip(wanted, gradients, strict=True)}
                for name, values in learning.items():
                    counts[name].add("weight_gradients", [by_weight[id(value)] for value in values])
    finally:
        for handle in handles:
            handle.remove()
    for name, layer in layers.items():
        counts[name].add("weights", _matrices(layer))
    found = tuple(
        LayerZeros(name=name, kind=type(layer).__name__, **counts[name].fractions())
        for name, layer in layers.items()
        if counts[name].seen["outputs"][1]
    )
    if not found:
        raise ModelError(
            f"{type(model).__name__} calls no layer with a parameter of two dimensions; nothing to look at"
        )
    return found


_KINDS = ("inputs", "outputs", "output_gradients", "weights", "weight_gradients")


@dataclass
class _Counts:
    """Zeros and numbers of one layer, by what they are."""

    seen: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def add(self, kind: str, values: Any) -> None:
        for value in values:
            if isinstance(value, CSR):
                stored = int(torch.count_nonzero(value.values)) if value.values is not None else len(value.indices)
                size = value.shape[0] * value.shape[1]
            elif isinstance(value, Tensor) and value.is_floating_point():
                stored, size = int(torch.count_nonzero(value)), value.numel()
            else:
                continue
            self.seen[kind][0] += size - stored
            self.seen[kind][1] += size

    def fractions(self) -> dict[str, float | None]:
        return {kind: self.seen[kind][0] / self.seen[kind][1] if self.seen[kind][1] else None for kind in _KINDS}


def _counting(counts: _Counts) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def count(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        del module
        counts.add("inputs", args[:1])
        written = list(tensors_in(out))[:1]
        counts.add("outputs", written)
        for value in written:
            if value.requires_grad:
                value.register_hook(  # type: ignore[no-untyped-call]
                    lambda gradient: counts.add("output_gradients", [gradient])
                )

    return count


def _matrices(module: nn.Module) -> list[nn.Parameter]:
    """Returns a module's own parameters of two dimensions or more."""
    return [value for value in module.parameters(recurse=False) if value.dim() > 1]
