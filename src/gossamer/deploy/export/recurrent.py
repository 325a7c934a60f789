"""Recurrent layers in a form that can be traced.

Torch's own keep their weights twice, which its exporter refuses, and their operators fix the length of a sequence. Ours
has a shape for every length; formats that know torch's operators only keep to one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gossamer.structure.edits import replace_module

_FUNCTIONS: dict[str, Any] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}


def _in_torch(  # noqa: PLR0917  the schema of the operator
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    kind: str,
    biases: bool,
    layers: int,
    both: bool,
    batch_first: bool,
) -> list[Tensor]:
    given: Any = list(states) if kind == "LSTM" else states[0]
    found = _FUNCTIONS[kind](x, given, list(weights), biases, layers, 0.0, False, both, batch_first)
    return [one.contiguous() for one in found]


_recurrent = torch.library.custom_op("gossamer::recurrent", _in_torch, mutates_args=())


@_recurrent.register_fake
def _(  # noqa: PLR0917  the schema of the operator
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    kind: str,
    biases: bool,
    layers: int,
    both: bool,
    batch_first: bool,
) -> list[Tensor]:
    width = states[0].shape[-1] * (2 if both else 1)
    return [x.new_empty(*x.shape[:2], width), *(torch.empty_like(one) for one in states)]


class Recurrent(nn.Module):
    """An LSTM, GRU or plain recurrent layer for prediction on sequences of one length.

    Args:
        layer: Whose weights are taken.
        standard: Whether to use torch's operators only.
    """

    def __init__(self, layer: nn.RNNBase, *, standard: bool) -> None:
        super().__init__()
        self.weights = nn.ParameterList([weight for some in layer.all_weights for weight in some])
        self._kind, self._standard, self._batch_first = layer.mode, standard, layer.batch_first
        self._biases, self._layers, self._both = bool(layer.bias), layer.num_layers, bool(layer.bidirectional)
        self._width = layer.hidden_size

    def forward(self, x: Tensor, states: Any = None) -> tuple[Tensor, Any]:
        """Returns the states over time and the last ones, as torch's layer does."""
        alone = x.dim() == 2
        axis = 0 if self._batch_first else 1
        x = x.unsqueeze(axis) if alone else x
        if states is None:
            zeros = x.new_zeros(self._layers * (1 + self._both), x.shape[axis], self._width)
            given = [zeros, zeros] if self._kind == "LSTM" else [zeros]
        else:
            given = list(states) if self._kind == "LSTM" else [states]
            given = [one.unsqueeze(1) for one in given] if alone else given
        call = _in_torch if self._standard else _recurrent
        settings = (self._kind, self._biases, self._layers, self._both, self._batch_first)
        out, *last = call(x, given, list(self.weights), *settings)
        if alone:
            out, last = out.squeeze(axis), [one.squeeze(1) for one in last]
        return out, tuple(last) if self._kind == "LSTM" else last[0]


def traceable(model: nn.Module, *, standard: bool) -> nn.Module:
    """Returns a copy of a network without torch's recurrent layers; the network itself if it has none."""
    if not any(_known(layer) for layer in model.modules()):
        return model
    model = copy.deepcopy(model)
    for layer in list(model.modules()):
        if _known(layer):
            model = replace_module(model, layer, Recurrent(layer, standard=standard))  # type: ignore[arg-type]
    return model


def _known(layer: nn.Module) -> bool:
    return type(layer) in (nn.LSTM, nn.GRU, nn.RNN) and not getattr(layer, "proj_size", 0)
