r"""Which units of neighbouring layers are active together: correlations of what a weight reads and what it writes.

    C_ji = (S_ji − μ_j μ_i) / √(var_j var_i + 1e-8),    S_ji = mean of a_j a_i,  var = mean of a² − μ²

Means are over the samples of a batch, and over steps: running ones, m·old + (1 − m)·new, or plain ones. a_i is a
number of the layer's input, and a_j one of its output behind the normalisations and activations that are called on it
as modules; where no activation is, what is below zero counts as silence. Samples are the rows of a linear layer's input
and the places of a convolution's output, to whose size its input is averaged; all taps of a kernel share one number.
Of a graph convolution that is the transform of features, before or after the sum over neighbours as the layer has it.
Attention's projections are used without a module's call, so they cannot be watched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import activation, batchnorm
from torch.utils.hooks import RemovableHandle

from gossamer.counting import evaluating
from gossamer.graph import CSR
from gossamer.nn.top_k import TopKReLU
from gossamer.prune.scores import Score
from gossamer.prune.weights import PrunableWeight
from gossamer.settings import Settings, bounded
from gossamer.tasks.task import Task

_TINY = 1e-8
_ACTIVATIONS: tuple[type[nn.Module], ...] = (
    TopKReLU,
    *(getattr(activation, name) for name in activation.__all__ if name != "MultiheadAttention"),
)
_NORMS: tuple[type[nn.Module], ...] = (batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True, kw_only=True)
class Statistics(Settings):
    """How activity is averaged, and how much of it there must be."""

    over: Literal["running", "between-updates"] = "running"  # "between-updates": plain means, begun anew at each
    memory: float = bounded(0.99, ge=0.0, lt=1.0)  # m of running means: what is left of the past after a step
    active: float = bounded(0.01, ge=0.0, lt=1.0)  # share of samples in which a unit must not be zero, to be trusted


class Coactivity:
    """Watches layers while they train.

    Args:
        model: The network that `weights` belong to.
        weights: Of which layers.
        statistics: How to average.
    """

    def __init__(self, model: nn.Module, weights: Sequence[PrunableWeight], statistics: Statistics) -> None:
        self._statistics = statistics
        self._moments: dict[str, dict[str, Tensor]] = {}
        self._steps = 0  # that the means are over
        self._calls: dict[str, list[_Call]] = {}
        names = {weight.layer: weight.name for weight in weights if weight.kind != "MultiheadAttention"}
        self._handles: list[RemovableHandle] = []
        for path, module in model.named_modules():
            if path in names:
                self._handles.append(module.register_forward_hook(self._noting(names[path])))
            elif isinstance(module, _ACTIVATIONS + _NORMS):
                self._handles.append(module.register_forward_hook(self._follow))

    @torch.no_grad()
    def take(self) -> None:
        """Adds what the layers were called on since the last time to the means."""
        calls, self._calls = self._calls, {}
        if not calls:
            return
        self._steps += 1
        running = self._statistics.over == "running"
        rate = 1.0 if self._steps == 1 else 1.0 - self._statistics.memory if running else 1.0 / self._steps
        for name, made in calls.items():
            samples = [pair for call in made if (pair := _samples(call)) is not None]
            if samples:
                now = _moments(*(torch.cat(part) for part in zip(*samples, strict=True)))
                past = {key: value.to(now[key].device) for key, value in self._moments.get(name, now).items()}
                self._moments[name] = {key: past[key] + rate * (now[key] - past[key]) for key in now}

    def correlation(self, weight: PrunableWeight) -> Tensor | None:
        """Returns C in [-1, 1] as a matrix (R, C), NaN where a unit is too seldom active; None if never watched."""
        if weight.name not in self._moments:
            return None
        found = {key: _over_processes(value) for key, value in self._moments[weight.name].items()}
        spread = {side: (found[f"{side} squared"] - found[side].square()).clamp(min=0.0) for side in ("pre", "post")}
        joint = found["joint"] - found["post"][:, :, None] * found["pre"][:, None, :]
        result = joint / (spread["post"][:, :, None] * spread["pre"][:, None, :] + _TINY).sqrt()
        idle = {side: found[f"{side} active"] <= self._statistics.active for side in ("pre", "post")}
        result = result.masked_fill(idle["post"][:, :, None] | idle["pre"][:, None, :], torch.nan).flatten(0, 1)
        return result.repeat_interleave(weight.columns // result.shape[1], 1)

    def updated(self) -> None:
        """Weights were moved: plain means begin anew."""
        if self._statistics.over == "between-updates":
            self._moments, self._steps = {}, 0

    def close(self) -> None:
        """Stops watching."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._calls = [], {}

    def state_dict(self) -> dict[str, Any]:
        """Returns the means and the steps they are over."""
        return {"steps": self._steps, "moments": {name: dict(found) for name, found in self._moments.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._steps, self._calls = state["steps"], {}
        self._moments = {name: dict(found) for name, found in state["moments"].items()}

    def _noting(self, name: str) -> Any:
        def note(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            if torch.is_grad_enabled() and args and isinstance(out, Tensor):
                self._calls.setdefault(name, []).append(_Call(module, args[0], out))

        return note

    def _follow(self, module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        """What a normalisation or an activation makes of an output takes its place."""
        for call in (call for made in self._calls.values() for call in made):
            if args and args[0] is call.post:
                call.post, call.acted = out, call.acted or isinstance(module, _ACTIVATIONS)


@dataclass(kw_only=True, frozen=True)
class Coactive(Score):
    """|w| · |C|: a weight between units that have nothing to do with each other is worth little."""

    name = "coactive"
    local = False
    needs_correlation = True

    def gather(
        self, model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int
    ) -> dict[str, Tensor]:
        """Returns C of each weight, in its shape; layers that cannot be watched are left out."""
        watch = Coactivity(model, weights, Statistics(over="between-updates"))
        try:
            with evaluating(model), torch.enable_grad():
                for seen, batch in enumerate(task.batches("train"), start=1):
                    task.loss(model, batch)
                    watch.take()
                    if seen == batches:
                        break
        finally:
            watch.close()
        found = {weight.name: (watch.correlation(weight), weight.weight.shape) for weight in weights}
        return {name: value.view(shape) for name, (value, shape) in found.items() if value is not None}

    def cost(self, batches: int) -> float:
        """Returns that of forward passes, and of as many products of activities."""
        return 2.0 * batches

    def score(self, weight: Tensor, observed: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns |w| · |C|, 0 where C is not known; |w| in a layer that cannot be watched."""
        del generator
        size = weight.detach().abs()
        return size if observed is None else size * observed.abs().nan_to_num(nan=0.0)


@dataclass
class _Call:
    """One call of a layer: what it read, and what became of what it wrote."""

    layer: nn.Module
    pre: Any
    post: Tensor
    acted: bool = False


def _samples(call: _Call) -> tuple[Tensor, Tensor] | None:
    """Returns what a layer read, (n, G, C_in / G), and wrote, (n, G, R / G), G being the groups of a convolution."""
    pre, post = call.pre.to_dense() if isinstance(call.pre, CSR) else call.pre, call.post
    if not isinstance(pre, Tensor):
        return None
    pre, post = pre.detach().float(), post.detach().float()
    post = post if call.acted else post.clamp(min=0.0)
    groups = 1
    if isinstance(call.layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        groups = call.layer.groups
        pool: Any = {3: F.adaptive_avg_pool1d, 4: F.adaptive_avg_pool2d, 5: F.adaptive_avg_pool3d}[pre.dim()]
        pre, post = pool(pre, post.shape[2:]).movedim(1, -1), post.movedim(1, -1)
    return pre.reshape(-1, groups, pre.shape[-1] // groups), post.reshape(-1, groups, post.shape[-1] // groups)


def _moments(pre: Tensor, post: Tensor) -> dict[str, Tensor]:
    """Returns the means of samples: of products, of each side, of its squares, and of how often it is not zero."""
    found = {"joint": torch.einsum("ngo,ngi->goi", post, pre) / len(pre)}
    for side, value in (("pre", pre), ("post", post)):
        found |= {side: value.mean(0), f"{side} squared": value.square().mean(0)}
        found[f"{side} active"] = (value != 0).float().mean(0)
    return found


def _over_processes(value: Tensor) -> Tensor:
    """Returns the mean over the processes of a run, so that all move the same weights."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()
