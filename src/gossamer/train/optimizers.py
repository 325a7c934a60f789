"""The optimisers by which a network is trained, as settings.

Each is the rule of the same name in `torch.optim`; `build` makes one for a list of parameters. Where the
parameters are floating point and on a CPU or a CUDA device, PyTorch's fused form is asked for: it computes
the same update in one pass over memory, several times faster than the default on a CPU. It starts all threads
however little there is to do; `take_step` lets one thread update a small network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter

from gossamer.errors import SettingError
from gossamer.settings import Settings, bounded


@dataclass(frozen=True, kw_only=True)
class Optimizer(Settings):
    """The family of optimisers; use a member."""

    learning_rate: float = bounded(0.01, ge=0.0)
    weight_decay: float = bounded(0.0, ge=0.0)

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Returns the optimiser of `parameters`; those that need no gradient are left out."""
        raise TypeError(f"{type(self).__name__} is abstract: define build()")


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015); the weight decay is added to the gradient, as an L2 penalty is."""

    name: ClassVar[str] = "adam"
    weight_decay: float = bounded(5e-4, ge=0.0)
    beta1: float = bounded(0.9, ge=0.0, lt=1.0)  # how much of the mean gradient stays at each step
    beta2: float = bounded(0.999, ge=0.0, lt=1.0)  # how much of the mean squared gradient stays
    epsilon: float = bounded(1e-8, gt=0.0)

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Returns `torch.optim.Adam` with these settings."""
        trained = _trained(parameters)
        return torch.optim.Adam(
            trained,
            lr=self.learning_rate,
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            weight_decay=self.weight_decay,
            fused=_fusible(trained),
        )


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2019)."""

    name: ClassVar[str] = "adamw"
    learning_rate: float = bounded(1e-3, ge=0.0)
    weight_decay: float = bounded(0.01, ge=0.0)
    beta1: float = bounded(0.9, ge=0.0, lt=1.0)
    beta2: float = bounded(0.999, ge=0.0, lt=1.0)
    epsilon: float = bounded(1e-8, gt=0.0)

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Returns `torch.optim.AdamW` with these settings."""
        trained = _trained(parameters)
        return torch.optim.AdamW(
            trained,
            lr=self.learning_rate,
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            weight_decay=self.weight_decay,
            fused=_fusible(trained),
        )


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum or Nesterov's momentum."""

    name: ClassVar[str] = "sgd"
    learning_rate: float = bounded(0.1, ge=0.0)
    weight_decay: float = bounded(5e-4, ge=0.0)
    momentum: float = bounded(0.9, ge=0.0, lt=1.0)
    nesterov: bool = False  # needs momentum above 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise SettingError("sgd: nesterov is True with momentum 0; give a momentum above 0, such as 0.9")

    def build(self, parameters: Iterable[Parameter]) -> torch.optim.Optimizer:
        """Returns `torch.optim.SGD` with these settings."""
        trained = _trained(parameters)
        return torch.optim.SGD(
            trained,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            fused=_fusible(trained),
        )


_EAGER = (torch.optim.SGD, torch.optim.Adagrad)  # which expect a state of parameters that they have not seen before


_THREADS_PAY = 1 << 16  # parameters from which on more than one thread updates them


def take_step(optimizer: torch.optim.Optimizer) -> None:
    """Lets an optimiser update its parameters, on one thread where they are few: the same update, sooner.

    Two threads that other work keeps waiting for each other take a hundred times as long as one alone.
    """
    threads = torch.get_num_threads()
    few = sum(part.numel() for group in optimizer.param_groups for part in group["params"]) < _THREADS_PAY
    if threads == 1 or not few:
        _step(optimizer, few)
        return
    torch.set_num_threads(1)
    try:
        _step(optimizer, few)
    finally:
        torch.set_num_threads(threads)


def _step(optimizer: torch.optim.Optimizer, few: bool) -> None:
    """Takes a step: of few parameters by the fused kernel itself, for what stands before it takes ten times as long."""
    updates = _updates(optimizer) if few else None
    if updates is None:
        optimizer.step()
        return
    with torch.no_grad():
        for update in updates:
            update()


def _updates(optimizer: torch.optim.Optimizer) -> list[Callable[[], None]] | None:
    """Returns the calls of fused kernels, one a group, that `optimizer.step()` comes to; None where it does more."""
    kernel = _FUSED.get(type(optimizer))
    if kernel is None or optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return None
    found = []
    for group in optimizer.param_groups:
        moved = [part for part in group["params"] if part.grad is not None]
        if not moved:
            continue
        if not group["fused"] or any(part.dtype is not torch.float32 or not part.is_cpu for part in moved):
            return None
        update = kernel(group, moved, [optimizer.state.get(part, {}) for part in moved])
        if update is None:
            return None
        found.append(update)
    return found


def _sgd(group: dict[str, Any], moved: list[Tensor], states: list[dict[str, Tensor]]) -> Callable[[], None] | None:
    gradients = [part.grad for part in moved if part.grad is not None]
    buffers: list[Tensor] = []
    if group["momentum"]:
        buffers = [known for state in states if (known := state.get("momentum_buffer")) is not None]
        if len(buffers) < len(moved):
            return None
    return lambda: torch._fused_sgd_(
        moved,
        gradients,
        buffers,
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=group["lr"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        is_first_step=False,
    )


def _adam(group: dict[str, Any], moved: list[Tensor], states: list[dict[str, Tensor]]) -> Callable[[], None] | None:
    if group["amsgrad"] or not all(states):
        return None
    gradients = [part.grad for part in moved if part.grad is not None]
    means, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))

    def update() -> None:
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            moved,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
        )

    return update


_FUSED = {torch.optim.SGD: _sgd, torch.optim.Adam: _adam}


def replace_parameter(optimizer: torch.optim.Optimizer, old: Parameter, new: Sequence[Parameter]) -> None:
    """Lets an optimiser step several parameters in place of one; what it knew of that one is lost, they begin anew.

    They stand where the old one stood, so that the optimiser's state fits one that is built anew for the network.

    Args:
        optimizer: Any; one that does not step `old` is left as it is.
        old: The parameter that is no longer part of the network.
        new: Those that are.
    """
    for group in optimizer.param_groups:
        place = next((i for i, parameter in enumerate(group["params"]) if parameter is old), None)
        if place is None:
            continue
        group["params"][place : place + 1] = new
        known = optimizer.state.pop(old, {})
        if isinstance(optimizer, _EAGER):
            for parameter in new:
                optimizer.state[parameter] = {
                    name: torch.zeros_like(parameter if value.shape == old.shape else value)
                    for name, value in known.items()
                    if isinstance(value, torch.Tensor)
                }


def _trained(parameters: Iterable[Parameter]) -> list[Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]


def _fusible(parameters: list[Parameter]) -> bool:
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
