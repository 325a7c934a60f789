"""Layers in the form that formats without this library's operators know."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.deploy.export.integer import integer_layer
from gossamer.nn import CodedConv2d, CodedLinear, CompactConv2d, CompactLinear, SparseConv2d, SparseLinear
from gossamer.nn.packed import Packed
from gossamer.nn.sharing import SharedConv2d, SharedLinear
from gossamer.structure.edits import replace_module

_SIZES = {"in_features", "out_features", "in_channels", "out_channels"}


def standard_layers(model: nn.Module) -> nn.Module:
    """Returns a copy of a network in which layers with packed weights are replaced by ones that other formats know.

    A sparse layer, or one of shared weights, becomes the dense one with the same weights, zeros included; a compact
    layer a small dense product whose results are put in place by a gather; a layer of coded weights one that multiplies
    bytes.

    Raises:
        ModelError: A layer's weights are coded in a way that has no such form.
    """
    model = copy.deepcopy(model)
    for layer in list(model.modules()):
        new = _standard(layer)
        if new is not None:
            if isinstance(layer, Packed) and layer.relu:
                new = nn.Sequential(new, nn.ReLU())
            for name in _SIZES & vars(layer).keys():  # a network may ask its layers for them
                setattr(new, name, getattr(layer, name))
            model = replace_module(model, layer, new)
    return model


def _standard(layer: nn.Module) -> nn.Module | None:
    """Returns the layer in its other form; None if it has none, or needs none."""
    if isinstance(layer, SparseLinear | SparseConv2d | SharedLinear | SharedConv2d):
        return layer.to_dense().requires_grad_(False)
    if isinstance(layer, CompactLinear | CompactConv2d):
        return _Gathered(layer)
    return integer_layer(layer) if isinstance(layer, CodedLinear | CodedConv2d) else None


class _Gathered(nn.Module):
    """A compact layer that fills in what was left out by a gather, where the layer itself writes into a tensor.

    Each output is taken from its place among the results of the small product, and from one more result, which is
    zero, if it is the bias alone.
    """

    columns: Tensor
    place: Tensor

    def __init__(self, layer: CompactLinear | CompactConv2d) -> None:
        super().__init__()
        outputs = layer.out_features if isinstance(layer, CompactLinear) else layer.out_channels
        place = torch.full((outputs,), len(layer.rows))
        place[layer.rows] = torch.arange(len(layer.rows))
        self.register_buffer("place", place)
        self.register_buffer("columns", layer.columns)
        self.small, self.bias = layer.small, layer.bias
        self.steps = layer.steps[1:] if isinstance(layer, CompactConv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        """Returns what the compact layer does."""
        if self.steps is None:
            out = F.linear(x.index_select(-1, self.columns), self.small)
            out = F.pad(out, (0, 1)).index_select(-1, self.place)
            return out if self.bias is None else out + self.bias
        out = F.conv2d(x.index_select(1, self.columns), self.small, None, *self.steps)
        out = F.pad(out, (0, 0, 0, 0, 0, 1)).index_select(1, self.place)
        return out if self.bias is None else out + self.bias[:, None, None]
