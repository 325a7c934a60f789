"""Which stand-in serves which of PyG's layers."""

from __future__ import annotations

from torch import nn

from gossamer.errors import ModelError
from gossamer.nn.pyg.adopted import Adopted, is_named
from gossamer.nn.pyg.attention import AdoptedGAT, AdoptedGATv2, AdoptedTransformer
from gossamer.nn.pyg.neighbours import AdoptedGIN, AdoptedSAGE
from gossamer.nn.pyg.normalized import AdoptedAPPNP, AdoptedGCN, AdoptedSG

KINDS: tuple[type[Adopted], ...] = (
    AdoptedGCN,
    AdoptedSAGE,
    AdoptedGIN,
    AdoptedGAT,
    AdoptedGATv2,
    AdoptedTransformer,
    AdoptedAPPNP,
    AdoptedSG,
)


def kind_of(layer: nn.Module) -> type[Adopted] | None:
    """Returns the stand-in for layers of this class, or None; it may still refuse a setting of this one."""
    return next((kind for kind in KINDS if is_named(layer, kind.replaces)), None)


def adopt(layer: nn.Module) -> Adopted:
    """Returns a stand-in that shares the parameters of a PyG layer.

    Raises:
        ModelError: There is none for this class, or it does not follow a setting of this layer.
    """
    kind = kind_of(layer)
    if kind is None:
        known = ", ".join(sorted(kind.replaces for kind in KINDS))
        raise ModelError(f"{type(layer).__name__} cannot be replaced; known of PyG's layers: {known}")
    return kind.from_layer(layer)
