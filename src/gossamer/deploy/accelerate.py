"""Gives each layer of a pruned network the kernel that is fastest for it, by the clock of this machine.

Batch normalisations are folded into the layers before them. Then the network runs once on the example, and each
linear layer, convolution and 2×2 max pooling keeps the inputs it really got. For a layer with zeros every kernel that
could serve it is made, checked against the dense layer, and timed in turns with it on those inputs. A kernel takes a
layer's place only if it is faster by a margin and by more than the noise; at the end the whole network is timed in
turns with the one that came in, and if it is not faster it is left dense. So the result never is slower by choice,
never computes anything else, and says of every layer what was chosen and why.
"""

from __future__ import annotations

import copy
import math
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gossamer.counting import tensors_in
from gossamer.deploy import changes
from gossamer.deploy.changes import Change, SwapGraphLayer, SwapLayer, SwapPool
from gossamer.deploy.choice import Accelerated, Choice
from gossamer.deploy.compare import faster, ratio, same_outputs
from gossamer.deploy.folding import folds
from gossamer.deploy.graph_layers import GRAPH, graph_layer_choices
from gossamer.deploy.timed import fastest
from gossamer.errors import ModelError, SettingError
from gossamer.graph import CSR
from gossamer.kernels import native
from gossamer.nn import compact
from gossamer.nn.linear import Linear
from gossamer.nn.packed import Packed
from gossamer.nn.pooling import MaximaPool2d
from gossamer.timing import Timing, interleaved, using_threads

__all__ = ["Accelerated", "Choice", "accelerate"]

_MODEL_SECONDS = 1.0
_NARROW_GAIN = 0.8  # of what wide blocks store, at most, for narrow ones to have a chance
_FEWEST_ZEROS = 0.1  # below this no kernel has a chance, and none is tried
_ROUNDINGS = 256  # units of rounding by which a layer may differ: see `_agrees`


def accelerate(
    model: nn.Module, example: tuple[Any, ...], *, threads: int | None = None, minimum_gain: float = 1.05
) -> Accelerated:
    """Returns a copy of `model` for prediction, with a faster kernel in each layer that has one.

    Args:
        model: Any network, typically pruned; it is left as it is.
        example: Its positional arguments at the batch size that counts; what is fastest depends on it.
        threads: Threads to time with; None keeps PyTorch's setting.
        minimum_gain: A kernel must be at least this many times as fast as the dense layer, at least 1.

    Raises:
        SettingError: `minimum_gain` is below 1, or `threads` below 1.
    """
    if not minimum_gain >= 1.0:
        raise SettingError(f"minimum_gain is {minimum_gain}; expected at least 1 (1.05 is 5 % faster)")
    dense = copy.deepcopy(model).eval()
    with torch.no_grad(), using_threads(threads):
        wanted = list(tensors_in(dense(*example)))
        folded = folds(dense, _layers(dense), example, _shared(dense))
        base = changes.apply(folded, copy.deepcopy(dense)) if folded else dense
        layers, pools = _layers(base), _pools(base)
        calls = _record(base, {**layers, **pools}, example)
        shared = _shared(base)
        choices = tuple(_choose(name, layer, calls[name], shared, minimum_gain) for name, layer in layers.items())
        choices += tuple(_choose_pool(name, pool, calls[name], minimum_gain) for name, pool in pools.items())
        choices += tuple(graph_layer_choices(base, example, minimum_gain))
        swaps = tuple(_swap(c) for c in choices if c.kernel != "dense")
        if not folded and not swaps:
            return _kept_dense(dense, choices, "dense kept: no kernel is faster in any layer")
        fast = changes.apply(swaps, copy.deepcopy(base))
        if not same_outputs(list(tensors_in(fast(*example))), wanted):
            return _kept_dense(dense, choices, "dense kept: the outputs differ by more than rounding")
        times = interleaved(
            {"dense": lambda: dense(*example), "fast": lambda: fast(*example)},
            repeats=50,
            seconds=_MODEL_SECONDS,
        )
    before, after = times["dense"], times["fast"]
    gain = before.quick_ms / after.quick_ms
    if not faster(after, before, 1.0):
        why = f"dense kept: the whole network with the kernels chosen is {ratio(gain)}"
        why += ", within noise" if gain > 1 else ""
        return _kept_dense(dense, choices, why, before, after)
    norms = f"{len(folded)} normalisations folded, " if folded else ""
    return Accelerated(
        model=fast,
        choices=choices,
        changes=(*folded, *swaps),
        before=before,
        after=after,
        reason=f"{norms}{len(swaps)} of {len(choices)} layers swapped, the whole network is {ratio(gain)}",
    )


def _swap(choice: Choice) -> Change:
    if choice.kernel == GRAPH:
        return SwapGraphLayer(layer=choice.layer)
    if choice.kernel == MaximaPool2d.kernel:
        return SwapPool(layer=choice.layer)
    return SwapLayer(layer=choice.layer, kernel=choice.kernel)


def _kept_dense(
    dense: nn.Module,
    choices: tuple[Choice, ...],
    reason: str,
    before: Timing | None = None,
    after: Timing | None = None,
) -> Accelerated:
    kept = tuple(c if c.kernel == "dense" else replace(c, kernel="dense", reason=reason) for c in choices)
    return Accelerated(model=dense, choices=kept, changes=(), before=before, after=after, reason=reason)


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that a kernel might serve, by name: of any class that computes as Linear or Conv2d does."""
    forwards = {nn.Linear.forward, nn.Conv2d.forward, Linear.forward}
    pyg = sys.modules.get("torch_geometric.nn.dense.linear")  # a model that uses it has imported it
    if pyg is not None:
        forwards.add(pyg.Linear.forward)
    return {name: module for name, module in model.named_modules() if type(module).forward in forwards}


def _pools(model: nn.Module) -> dict[str, nn.Module]:
    """The max pooling layers, by name."""
    return {name: module for name, module in model.named_modules() if type(module) is nn.MaxPool2d}


def _record(model: nn.Module, layers: dict[str, nn.Module], example: tuple[Any, ...]) -> dict[str, list[Any]]:
    """Runs the model once; returns each layer's inputs, call by call.

    An input is noted as itself if it came as one positional argument, and as None otherwise.
    """
    calls: dict[str, list[Any]] = {name: [] for name in layers}
    handles = []
    for name, layer in layers.items():

        def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], name: str = name) -> None:
            calls[name].append(args[0] if len(args) == 1 and not kwargs else None)

        handles.append(layer.register_forward_pre_hook(note, with_kwargs=True))
    try:
        model(*example)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _shared(model: nn.Module) -> set[int]:
    """The ids of the parameters that more than one module has."""
    owners = Counter(id(p) for module in model.modules() for p in module.parameters(recurse=False))
    return {key for key, count in owners.items() if count > 1}


def _choose(name: str, layer: nn.Module, inputs: list[Any], shared: set[int], minimum_gain: float) -> Choice:
    """Makes, checks and times the kernels that could serve one layer on its inputs."""
    weight = cast("Tensor", layer.weight)
    zeros = 1.0 - int(torch.count_nonzero(weight)) / max(1, weight.numel())
    kept = Choice(
        layer=name,
        kind=type(layer).__name__,
        shape=tuple(weight.shape),
        parameters=weight.numel(),
        nonzeros=int(torch.count_nonzero(weight)),
        kernel="dense",
        reason="",
        candidates={},
    )
    reason = _obstacle(layer, inputs, shared, zeros)
    if reason:
        return replace(kept, reason=f"dense kept: {reason}")
    made = _candidates(layer)
    right = {kernel: new for kernel, new in made.items() if all(_agrees(new, layer, x) for x in inputs)}
    if not right:
        why = "the kernels' outputs differ by more than rounding" if made else "no kernel serves its zeros"
        return replace(kept, reason=f"dense kept: {zeros:.0%} zeros, {why}")
    return fastest(kept, layer, right, inputs, minimum_gain=minimum_gain, what=f"{zeros:.0%} zeros, ")


def _choose_pool(name: str, layer: nn.Module, inputs: list[Any], minimum_gain: float) -> Choice:
    """Makes, checks and times the stand-in of a max pooling layer."""
    kept = Choice(
        layer=name,
        kind=type(layer).__name__,
        shape=(),
        parameters=0,
        nonzeros=0,
        kernel="dense",
        reason="",
        candidates={},
    )
    reason = _obstacle(layer, inputs, set(), 1.0)
    if reason:
        return replace(kept, reason=f"dense kept: {reason}")
    try:
        other = MaximaPool2d.from_dense(layer)
    except ModelError as error:
        return replace(kept, reason=f"dense kept: {error}")
    if not all(torch.equal(other(x), layer(x)) for x in inputs):
        return replace(kept, reason="dense kept: the outputs differ")
    return fastest(kept, layer, {other.kernel: other}, inputs, minimum_gain=minimum_gain)


def _obstacle(layer: nn.Module, inputs: list[Any], shared: set[int], zeros: float) -> str:
    """Says what keeps a layer from being swapped at all; "" if nothing does."""
    tensors = all(isinstance(x, Tensor) and x.layout == torch.strided for x in inputs)
    shares = any(id(parameter) in shared for parameter in layer.parameters())
    obstacles = (
        (parametrize.is_parametrized(layer), "its weight is parametrised; remove the parametrisation first"),
        (not inputs, "it is not called on the example"),
        (
            any(isinstance(x, CSR) for x in inputs),
            "its input is sparse, and only what is there is multiplied",
        ),
        (not tensors, "it is called with something else than one dense tensor"),
        (bool(layer._forward_hooks or layer._forward_pre_hooks), "it has hooks, which a swap would lose"),
        (shares, "it shares its weight with another module"),
        (zeros < _FEWEST_ZEROS, f"{zeros:.0%} zeros, too few for any kernel"),
    )
    return next((reason for there, reason in obstacles if there), "")


def _candidates(layer: nn.Module) -> dict[str, Packed]:
    """Returns the packed forms of a layer that leave something out and for which there is a kernel here."""
    weight = cast("Tensor", layer.weight)
    native_here = native.available() and weight.dtype == torch.float32 and weight.device.type == "cpu"
    found: dict[str, Packed] = {}
    for kernel in changes.CONV2D if isinstance(layer, nn.Conv2d) else changes.LINEAR:
        if kernel != compact.KERNEL and not native_here:
            continue
        try:
            packed = changes.packed(layer, kernel)
        except ModelError:  # for example a grouped convolution
            continue
        if _numbers(packed) <= (1 - _FEWEST_ZEROS) * _numbers(layer):
            found[kernel] = packed
    if _numbers(found.get("blocks8")) > _NARROW_GAIN * _numbers(found.get("blocks")):
        found.pop("blocks8", None)
    return found


def _numbers(packed: nn.Module | None) -> float:
    """How many numbers a layer stores; endless for none."""
    return math.inf if packed is None else sum(parameter.numel() for parameter in packed.parameters())


def _agrees(new: nn.Module, layer: nn.Module, x: Tensor) -> bool:
    """Says whether two layers agree up to rounding, for which the sum of absolute products is the scale.

    A sum of n products in another order differs by at most n ε Σ|w x|, in practice by √n (Higham, "Accuracy
    and Stability of Numerical Algorithms", 2002, §3.1 and §2.8).
    """
    absolute = copy.deepcopy(layer)
    for parameter in absolute.parameters():
        parameter.abs_()
    got, wanted, scale = new(x), layer(x), absolute(x.abs())
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return False
    return bool(((got - wanted).abs() <= _ROUNDINGS * torch.finfo(wanted.dtype).eps * scale).all())
