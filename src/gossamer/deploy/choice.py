"""What acceleration chose, layer by layer and for the whole network, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from gossamer.deploy.changes import Change
from gossamer.timing import Timing


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen for one layer, and why.

    Attributes:
        layer: Dotted name; "" is the model itself.
        kind: Its class.
        shape: Of its weight; () for a graph layer, whose products are layers of their own.
        parameters, nonzeros: Of its weight.
        kernel: dense, csr, blocks or compact; for a graph layer, graph, or dense where it was left as it is.
        dense_ms, kernel_ms: Times of the dense layer and of the best other kernel over all calls of the layer in
            one call of the model, undisturbed (`Timing.quick_ms`); None where nothing was timed.
        candidates: The same of each kernel tried, by name.
        reason: The choice in words.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    nonzeros: int
    kernel: str
    reason: str
    dense_ms: float | None = None
    kernel_ms: float | None = None
    candidates: dict[str, float]

    @property
    def sparsity(self) -> float:
        """Fraction of the weight that is zero, in [0, 1]."""
        return 1.0 - self.nonzeros / self.parameters if self.parameters else 0.0

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object with every field and `sparsity`; `layer` is called `name` there."""
        return {
            "name": self.layer,
            "kind": self.kind,
            "shape": list(self.shape),
            "parameters": self.parameters,
            "nonzeros": self.nonzeros,
            "sparsity": self.sparsity,
            "kernel": self.kernel,
            "reason": self.reason,
            "dense_ms": self.dense_ms,
            "kernel_ms": self.kernel_ms,
            "candidates": dict(self.candidates),
        }


@dataclass(frozen=True, kw_only=True)
class Accelerated:
    """A network with a kernel for each layer.

    Attributes:
        model: The accelerated copy, in eval mode.
        choices: One for each linear layer and convolution, in the order of the model's modules.
        changes: What was done, for `save` and for replaying on the untouched class; empty if nothing was
            swapped.
        before, after: Times of one call on the example, dense and with the kernels chosen (whether or not
            they were kept); None if no kernel was faster for any layer.
        reason: What became of the whole network, in words.
    """

    model: nn.Module
    choices: tuple[Choice, ...]
    changes: tuple[Change, ...]
    before: Timing | None
    after: Timing | None
    reason: str
