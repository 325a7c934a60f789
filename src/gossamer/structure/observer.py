"""What a score may look at: parameters, gradients and curvature of a loss, and what units hold on data.

Everything is worked out when first asked for. The network is in eval mode meanwhile, and left as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.counting import evaluating
from gossamer.curvature import Vector, central_difference
from gossamer.errors import SettingError
from gossamer.structure.groups import Group, Member
from gossamer.structure.trace import Trace, plain_paths
from gossamer.structure.watch import Done, Handler, Products, Visit, held_units
from gossamer.train.randomness import seeded

Losses = Callable[[nn.Module], Iterable[Tensor]]
Keep = Callable[[Mapping[Group, Tensor]], Mapping[Group, Tensor]]


class Observer:
    """Looks at one network.

    Attributes:
        model: The network; a score leaves it as it is.
        trace: What one run of it told.
        args, kwargs: The example of that run.
        parameters: Its parameters, by their first names.
        generator: On the CPU; the source of chance.
        keep: Which units the plan would keep of groups with these scores.
    """

    def __init__(
        self,
        trace: Trace,
        model: nn.Module,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        losses: Losses | None,
        keep: Keep,
        seed: int,
    ) -> None:
        self.trace, self.model, self.args, self.kwargs = trace, model, args, kwargs
        self.parameters: dict[str, Tensor] = dict(model.named_parameters())
        self.generator = torch.Generator().manual_seed(seed)
        self.keep = keep
        self._losses = losses
        self._gradients: list[dict[str, Tensor]] | None = None

    def members(self, group: Group) -> list[tuple[Member, Tensor]]:
        """Returns the members of a group that are parameters, with their values."""
        return [
            (member, self.parameters[member.tensor].detach())
            for member in group.members
            if member.tensor in self.parameters
        ]

    def gradients(self, asker: str) -> list[dict[str, Tensor]]:
        """Returns the gradients of each batch, by parameter; those that take no part are left out.

        Raises:
            SettingError: There are no losses; it names the asker.
        """
        if self._gradients is None:
            self._gradients = self._new_gradients(asker)
        return self._gradients

    def hessian_product(self, vector: Vector, asker: str) -> Vector:
        """Returns the Hessian of the mean loss times a vector, which has a tensor for each parameter it concerns."""

        def mean() -> Vector:
            batches = self._new_gradients(asker)
            return {
                name: sum((g[name] for g in batches if name in g), torch.zeros_like(value)) / len(batches)
                for name, value in vector.items()
            }

        return central_difference({name: self.parameters[name] for name in vector}, vector, mean)

    def watch(self, groups: Sequence[Group], visit: Visit) -> None:
        """Shows what units hold where products sum over them, on each batch of the losses, or on the example.

        Args:
            groups: Those to look at.
            visit: Called with the group and a tensor (items, units, samples); images are items of their own, with a
                sample a place; of other data, all rows are samples of one item.
        """
        handler = held_units(groups, self.trace, visit)
        if self._losses is None:
            self.run(self.model, self.args, self.kwargs, handler)
            return
        with evaluating(self.model), torch.no_grad(), plain_paths(self.model), self._within(self.model, handler):
            for _ in self._losses(self.model):
                pass

    def run(self, model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], handler: Handler) -> None:
        """Runs a network of the same structure on some inputs, and shows its products to a handler."""
        args, kwargs = copy.deepcopy((tuple(args), dict(kwargs)))
        still, watched = seeded(0, torch.device("cpu")), self._within(model, handler)
        with evaluating(model), torch.no_grad(), plain_paths(model), still, suppress(Done), watched:
            model(*args, **kwargs)

    @contextmanager
    def _within(self, model: nn.Module, handler: Handler) -> Iterator[None]:
        """Shows products to a handler during calls of the network itself, not of what a task computes around it."""
        calls: list[ExitStack] = []

        def enter(*_: Any) -> None:
            calls.append(ExitStack())
            calls[-1].enter_context(Products(self.trace.products, handler, type(model).__name__))

        def leave(*_: Any) -> None:
            calls.pop().close()

        handles = (
            model.register_forward_pre_hook(enter),
            model.register_forward_hook(leave, always_call=True),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _new_gradients(self, asker: str) -> list[dict[str, Tensor]]:
        if self._losses is None:
            raise SettingError(f"score {asker!r} needs gradients; pass losses=, which yields the loss of batches")
        named = {name: parameter for name, parameter in self.parameters.items() if parameter.requires_grad}
        found = []
        with evaluating(self.model), torch.enable_grad():
            for loss in self._losses(self.model):
                gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
                found.append({name: g.detach() for name, g in zip(named, gradients, strict=True) if g is not None})
        if not found:
            raise SettingError(f"score {asker!r} needs gradients, and losses= yielded none")
        return found
