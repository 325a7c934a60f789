"""What the widths of layers that lose channels are rounded to: odd widths leave vector registers half empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from gossamer.deploy.widths import fastest
from gossamer.settings import Settings, bounded
from gossamer.structure import Plan
from gossamer.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Widths(Settings):
    """A family: what kept widths are rounded to."""

    def choose(self, planned: Callable[[int], Plan], model: nn.Module, task: Task) -> Plan:
        """Returns a plan for a network.

        Args:
            planned: Makes the plan whose widths are multiples of a number.
            model: The network.
            task: Gives an example.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define choose()")


@dataclass(frozen=True, kw_only=True)
class Multiples(Widths):
    """Rounded up to multiples of a number, where a layer is as wide."""

    name = "multiples"
    of: int = bounded(1, ge=1)

    def choose(self, planned: Callable[[int], Plan], model: nn.Module, task: Task) -> Plan:
        """Returns the plan."""
        del model, task
        return planned(self.of)


@dataclass(frozen=True, kw_only=True)
class Fastest(Widths):
    """Multiples of the number whose network is fastest on this machine, as it is deployed.

    Results depend on the machine, and on what else it does while networks are timed.
    """

    name = "fastest"
    among: tuple[int, ...] = bounded((1, 8, 16), ge=1)

    def choose(self, planned: Callable[[int], Plan], model: nn.Module, task: Task) -> Plan:
        """Returns the fastest plan."""
        return fastest({of: planned(of) for of in dict.fromkeys(self.among)}, model, task.example())
