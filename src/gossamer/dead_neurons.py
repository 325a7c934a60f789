"""Dead neurons of a network with ReLU: which of its outputs are zero, and which of those pruning has cut off.

A neuron is dead for an input for which its ReLU gives zero. Of N neurons,

    static   the share of those that give zero for every input, and do not depend on it: every path of weights from
             the input to them is pruned
    dynamic  mean over inputs of (other neurons that give zero) / N
    strict   the share of other neurons that give zero for every input that was seen

after Liu, Ghosh, Tan & Motani, "AP: selective activation for de-sparsifying pruned networks", TMLR 2023. Whether a
neuron depends on the input is found without looking at weights, so for any network: it runs twice on random numbers
with every ReLU left out, and what comes to a neuron is the same in both runs only where nothing leads there. Ours: a
neuron counts as cut off by paths, where the paper looks at its own incoming weights.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode

from gossamer.counting import evaluating, products_in_sight
from gossamer.errors import ModelError
from gossamer.graph import CSR
from gossamer.tasks.task import Split, Task

Neuron = Literal["place", "channel"]


@dataclass(frozen=True)
class DeadInLayer:
    """One ReLU.

    Attributes:
        after: Name of the last layer with weights that ran before it.
        neurons: How many there are.
        static: How many are cut off.
        silent: How many others were zero for every input.
        dynamic: How many others are zero for an input, mean over inputs.
    """

    after: str
    neurons: int
    static: int
    silent: int
    dynamic: float


@dataclass(frozen=True)
class DeadNeurons:
    """What was seen, in the order in which the ReLUs run; a network without ReLU has no layers and rates of 0."""

    layers: tuple[DeadInLayer, ...]

    @property
    def static(self) -> float:
        """Share of neurons that are cut off, in [0, 1]."""
        return self._share([layer.static for layer in self.layers])

    @property
    def dynamic(self) -> float:
        """Share of neurons that are zero for an input and not cut off, mean over inputs, in [0, 1]."""
        return self._share([layer.dynamic for layer in self.layers])

    @property
    def strict(self) -> float:
        """Share of neurons that are zero for every input and not cut off, in [0, 1]."""
        return self._share([layer.silent for layer in self.layers])

    def to_json(self) -> dict[str, float]:
        """Returns the three rates of the whole network."""
        return {"static": self.static, "dynamic": self.dynamic, "strict": self.strict}

    def _share(self, dead: list[int] | list[float]) -> float:
        return math.fsum(dead) / max(sum(layer.neurons for layer in self.layers), 1)


def dead_neurons(
    model: nn.Module, task: Task, *, split: Split = "train", batches: int | None = None, neuron: Neuron = "place"
) -> DeadNeurons:
    """Runs a network on data and counts its dead neurons; the network is left as it was.

    The outputs of a linear layer are neurons, and each row (image, node, token) is an input to them. ReLU is seen
    wherever PyTorch runs it, as a module or as a function; a packed layer that has it built in is not seen, so measure
    the network before `accelerate`.

    Args:
        model: The network.
        task: Gives the inputs, as its loss hands them to the network.
        split: Whose inputs.
        batches: How many batches at most; None = all of the split.
        neuron: Of a convolution, "place": each channel at each place of the image is a neuron. "channel": a channel
            is one neuron, dead for an input if it is zero at every place.

    Raises:
        ModelError: The images of a split have different sizes, which "place" cannot count.

    >>> from gossamer.models import for_task
    >>> from gossamer.tasks import datasets
    >>> task = datasets.task("digits-graph")
    >>> found = dead_neurons(for_task("gcn", task), task)
    >>> found.static, 0 < found.dynamic < 1, [layer.after for layer in found.layers]
    (0.0, True, ['convs.0.linear'])
    """
    severed = _cut_off(model, task.example(), neuron)
    counts: dict[int, _Count] = {}

    def look(place: int, layer: str, before: Tensor, after: Tensor, conv: bool) -> None:
        del before
        zero = _by_neuron(after == 0, conv, neuron)
        if place not in counts:
            cut = severed.get(place, torch.zeros(zero.shape[1], dtype=torch.bool, device=zero.device))
            counts[place] = _Count(layer, cut)
        counts[place].add(zero)

    with _watching(model, look):
        for batch in islice(task.batches(split), batches):
            task.loss(model, batch)
    return DeadNeurons(tuple(counts[place].result() for place in sorted(counts)))


class _Count:
    """How often each neuron behind one ReLU was zero."""

    def __init__(self, layer: str, severed: Tensor) -> None:
        self.layer = layer
        self.severed = severed
        self.zeros = torch.zeros(len(severed), dtype=torch.int64, device=severed.device)
        self.inputs = 0

    def add(self, zero: Tensor) -> None:
        """Takes which are zero, (inputs, neurons)."""
        if zero.shape[1] != len(self.zeros):
            raise ModelError(
                f"the ReLU after {self.layer} has {zero.shape[1]} neurons, earlier it had {len(self.zeros)}; where "
                "sizes of images differ, count channels: neuron='channel'"
            )
        self.zeros += zero.sum(0)
        self.inputs += len(zero)

    def result(self) -> DeadInLayer:
        """Returns what was counted."""
        silent = self.zeros == self.inputs
        static = silent & self.severed
        return DeadInLayer(
            after=self.layer,
            neurons=len(self.zeros),
            static=int(static.sum()),
            silent=int((silent & ~static).sum()),
            dynamic=float(self.zeros[~static].sum()) / max(self.inputs, 1),
        )


# Number of the ReLU in a call, name of the layer before it, its input and output, whether the layer is a convolution.
Look = Callable[[int, str, Tensor, Tensor, bool], None]


class _ReLUs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Shows every ReLU that runs; on request lets what comes to it pass unchanged."""

    def __init__(self, look: Look, *, passing: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.look = look
        self.passing = passing
        self.place = 0  # ReLUs of this call of the network so far
        self.layer, self.conv = "", False  # the last layer with weights

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in (torch.ops.aten.relu.default, torch.ops.aten.relu_.default):
            return func(*args, **(kwargs or {}))
        before = args[0].clone()
        unchanged = args[0] if func is torch.ops.aten.relu_.default else before
        out = unchanged if self.passing else func(*args)
        self.look(self.place, self.layer, before, out, self.conv)
        self.place += 1
        return out


@contextlib.contextmanager
def _watching(model: nn.Module, look: Look, *, passing: bool = False) -> Iterator[None]:
    """Shows every ReLU of the calls in this context, in eval mode and without gradients."""
    relus = _ReLUs(look, passing=passing)

    def begin(*_: Any) -> None:
        relus.place, relus.layer, relus.conv = 0, "", False

    handles = [model.register_forward_pre_hook(begin)]
    for name, module in model.named_modules():
        if isinstance(weight := getattr(module, "weight", None), Tensor) and weight.dim() >= 2:

            def ran(module: nn.Module, *_: Any, name: str = name) -> None:
                relus.layer, relus.conv = name, isinstance(module, _ConvNd)

            handles.append(module.register_forward_hook(ran))
    try:
        with evaluating(model), torch.no_grad(), products_in_sight(), relus:
            yield
    finally:
        for handle in handles:
            handle.remove()


def _cut_off(model: nn.Module, example: tuple[Any, ...], neuron: Neuron) -> dict[int, Tensor]:
    """Returns which neurons depend on no input, (neurons,) bool, by the number of the ReLU."""
    draw = torch.Generator().manual_seed(0)
    inputs = tuple(_random(argument, draw) for argument in example)
    if all(new is old for new, old in zip(inputs, example, strict=True)):
        return {}  # nothing in the input can be varied
    first = _arriving(model, inputs)
    second = _arriving(model, tuple(_random(argument, draw) for argument in example))
    return {
        place: _by_neuron(before == second[place][0], conv, neuron).all(0) for place, (before, conv) in first.items()
    }


def _arriving(model: nn.Module, inputs: tuple[Any, ...]) -> dict[int, tuple[Tensor, bool]]:
    """Returns what comes to each ReLU in a network without them, and whether from a convolution."""
    seen: dict[int, tuple[Tensor, bool]] = {}

    def look(place: int, layer: str, before: Tensor, after: Tensor, conv: bool) -> None:
        del layer, after
        seen[place] = (before, conv)

    with _watching(model, look, passing=True):
        model(*inputs)
    return seen


def _random(argument: Any, draw: torch.Generator) -> Any:
    """Returns numbers in (0, 1) in the form of a tensor of real numbers or a CSR; all else, such as edges, as it is."""
    if isinstance(argument, CSR):
        values = torch.rand(argument.nnz, generator=draw).to(argument.indices.device)
        return CSR(argument.indptr, argument.indices, values, shape=argument.shape)
    if isinstance(argument, Tensor) and argument.is_floating_point():
        return torch.rand(argument.shape, generator=draw).to(argument)
    return argument


def _by_neuron(values: Tensor, conv: bool, neuron: Neuron) -> Tensor:
    """Returns bool values (inputs, neurons) of a ReLU's output; a channel has what all its places have."""
    if not conv or values.dim() < 3:
        return values.reshape(-1, values.shape[-1])
    return values.flatten(1) if neuron == "place" else values.flatten(2).all(2)
