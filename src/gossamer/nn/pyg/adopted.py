"""A layer that stands in for one of PyTorch Geometric's: the same parameters and names, another way to compute.

The stand-in holds the very parameters, buffers and children of the layer it is made from. A state dict, an optimiser or
a mask that knew the old layer knows the new one, and a file saved with either loads into the other. PyG itself is not
imported: a layer is known by the name of its class, and everything else is read from its attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.graph import Graph, as_graph

_HOME = "torch_geometric.nn.conv."


class Adopted(nn.Module, ABC):
    """The interface of a stand-in.

    Attributes:
        replaces: The name of PyG's class.
        reductions: What `aggr` may be.
        settings: Attributes that are taken over besides parameters, buffers and children.
        without: Settings that must have the value given here.
    """

    replaces: ClassVar[str]
    reductions: ClassVar[tuple[str, ...]] = ("add", "sum")
    settings: ClassVar[tuple[str, ...]] = ()
    without: ClassVar[tuple[tuple[str, Any], ...]] = ()

    aggr: str

    @classmethod
    def from_layer(cls, layer: nn.Module) -> Self:
        """Returns a stand-in that shares the parameters of `layer`.

        Raises:
            ModelError: The layer is of another class, or has a setting that the stand-in does not follow.
        """
        reason = cls.obstacle(layer)
        if reason:
            raise ModelError(f"{type(layer).__name__} cannot be replaced: {reason}")
        adopted = cls()
        for name in cls.settings:
            setattr(adopted, name, getattr(layer, name))
        for kind in ("_parameters", "_buffers", "_modules"):
            getattr(adopted, kind).update(getattr(layer, kind))
        adopted._modules.pop("aggr_module", None)  # a sum, mean or maximum: without parameters
        return adopted.train(layer.training)

    @classmethod
    def obstacle(cls, layer: Any) -> str:
        """Says what keeps `layer` from being replaced; "" if nothing does."""
        if not is_named(layer, cls.replaces):
            return f"it is a {type(layer).__name__}, expected PyG's own {cls.replaces}"
        if getattr(layer, "flow", "source_to_target") != "source_to_target":
            return "its messages flow from target to source"
        if getattr(layer, "explain", None) or getattr(layer, "decomposed_layers", 1) != 1:
            return "it is being explained, or computes in decomposed layers"
        if layer.aggr not in cls.reductions:
            return f"its setting aggr={layer.aggr!r} is not supported, only {', '.join(cls.reductions)}"
        for name, wanted in cls.without:
            found = getattr(layer, name)
            if found != wanted:
                return f"its setting {name}={found!r} is not supported, only {wanted!r}"
        return cls._obstacle(layer)

    @classmethod
    def _obstacle(cls, layer: Any) -> str:
        """Says what else keeps `layer` from being replaced; "" if nothing does."""
        del layer
        return ""

    @abstractmethod
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Computes what the layer that is replaced computes; (N, C_in) to (N, C_out)."""

    def graph(self, x: Any, edge_index: Any, weights: Tensor | None = None) -> Graph:
        """Returns the graph of a call.

        Raises:
            ModelError: The features are not one tensor, or the edges come as something else than a tensor.
        """
        if not isinstance(x, Tensor) or x.dim() != 2 or not isinstance(edge_index, Tensor):
            raise ModelError(
                f"{type(self).__name__}: expected features (N, C) and edges in tensors, found {type(x).__name__} "
                f"and {type(edge_index).__name__}; keep PyG's {self.replaces} for other inputs"
            )
        if weights is not None:
            return Graph.from_edge_index(edge_index, x.shape[0], weights)
        return as_graph(edge_index, x.shape[0])

    def extra_repr(self) -> str:
        """Names what it stands in for."""
        return f"for {self.replaces}"


def is_named(layer: nn.Module, name: str) -> bool:
    """Says whether `layer` is of PyG's class `name` itself; a subclass may compute something else."""
    kind = type(layer)
    return kind.__name__ == name and kind.__module__.startswith(_HOME)
