"""Drop-and-grow on layers that hold only their nonzeros: memory and arithmetic of the sparse network, step after step.

Linear layers and convolutions give way to `nn.SparseLinear` and `nn.SparseConv2d` while training lasts, and come
back at its end. The weights to begin with, the steps at which weights move and how many do are those of the masked
backend; growing by gradient ends in the same network up to rounding, growing at random in one that is as likely. The
dense gradient that growing looks at is made in strips and only at updates (`nn.regrow`). Sparse features are made dense
for these layers. Blocks are stored whole: where a layer's outputs are no multiple of 16, all its blocks count alike.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gossamer.compression.method import Compression
from gossamer.errors import ModelError
from gossamer.graph import CSR
from gossamer.nn.linear import Linear
from gossamer.nn.regrow import Calls, drop_and_grow, recorded, remap
from gossamer.nn.sparse import Sparse, SparseConv2d, SparseLinear
from gossamer.prune.granularity import SIMDBlocks
from gossamer.prune.growth import ByGradient
from gossamer.prune.weights import PrunableWeight
from gossamer.tasks.task import Task

if TYPE_CHECKING:
    from gossamer.prune.drop_and_grow import DropAndGrow, SparseTraining


class StoredTraining(Compression):
    """The state of one run of `DropAndGrow` with backend "stored"; patterns and values are part of the model's."""

    def __init__(self, method: DropAndGrow, masked: SparseTraining, task: Task) -> None:
        super().__init__(masked.model, epochs=masked.epochs)
        self._method = method
        self._moves = method.moves(masked.epochs * task.steps())
        self._share = masked.share
        self._nonzeros = masked.target_nonzeros()
        self._report = masked.layer_report()
        self._step = 0
        self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        kernel = "blocks" if isinstance(method.granularity, SIMDBlocks) else "csr"
        self._dense = {weight.layer: _dense_layer(self.model, weight) for weight in masked.weights}
        self._layers = {
            weight.layer: _pack(self._dense[weight.layer], kernel, masked.masks[weight.name])
            for weight in masked.weights
        }
        for name, layer in self._layers.items():
            _exchange(self.model, self._dense[name], layer)
            self._dense[name].weight = nn.Parameter(torch.empty(0), requires_grad=False)
        self._recording = ExitStack()
        self._calls: dict[Sparse, Calls] = {}
        self._arm()

    def after_backward(self) -> None:
        """Stops noting what the layers were called on."""
        self._recording.close()

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer | None = None) -> None:
        """Every ΔT steps drops and grows."""
        self._step += 1
        if self._moves.at(self._step):
            for layer in self._layers.values():
                self._move(layer, optimizer)
        self._calls = {}
        self._arm()

    def training_cost(self) -> float:
        """Returns the mean cost of a step, by the rule of the growth; 3·f_S / f_D once updates are over."""
        if self._step >= self._moves.final:
            return 3.0 * self._share
        return self._method.grow.step_cost(self._share, self._method.every)

    def target_nonzeros(self) -> dict[str, int]:
        """Returns how many weights of each parameter are stored."""
        return dict(self._nonzeros)

    def notes(self) -> tuple[str, ...]:
        """Says so where no weight ever moved."""
        return self._moves.remark()

    def layer_report(self) -> list[dict[str, Any]]:
        """Returns one record a prunable weight: name, kind, shape, parameters, nonzeros, sparsity."""
        return self._report

    def finish(self) -> nn.Module:
        """Returns the model with the layers it came with, whose removed weights are exactly zero."""
        self._recording.close()
        for name, layer in self._layers.items():
            dense = self._dense[name]
            dense.weight = nn.Parameter(layer.weight.detach())
            if layer.bias is not None:
                dense.bias = nn.Parameter(layer.bias.detach())
            dense.train(layer.training)
            _exchange(self.model, layer, dense)
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """Returns the counter and the state of chance; the rest is in the model's."""
        return {"step": self._step, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._step = state["step"]
        self._generator.set_state(state["generator"])
        self._recording.close()
        self._arm()

    def _arm(self) -> None:
        """Notes what the layers are called on in the coming step, if weights will be grown by it."""
        if isinstance(self._method.grow, ByGradient) and self._moves.at(self._step + 1):
            self._calls = self._recording.enter_context(recorded(self._layers.values()))

    def _move(self, layer: Sparse, optimizer: Optimizer | None) -> None:
        count = math.ceil(self._moves.fraction(self._step) * layer.matrix.indices.shape[0])
        by_gradient = isinstance(self._method.grow, ByGradient)
        source = drop_and_grow(
            layer,
            count,
            gradient=self._calls[layer] if by_gradient else None,
            generator=None if by_gradient else self._generator,
        )
        if optimizer is not None:
            remap(optimizer, layer.matrix.values, source)


def _dense_layer(model: nn.Module, weight: PrunableWeight) -> nn.Linear | nn.Conv2d:
    """Returns the layer that owns a weight; ModelError unless it can be stored."""
    layer = model.get_submodule(weight.layer)
    if weight.layer == "" or type(layer) not in (nn.Linear, Linear, nn.Conv2d):
        raise ModelError(
            f"{weight.name} belongs to a {weight.kind}{'' if weight.layer else ' that is the whole network'}, which "
            f"backend 'stored' cannot train; exclude={weight.layer or weight.name!r}, or use backend 'masked'"
        )
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer


def _pack(layer: nn.Linear | nn.Conv2d, kernel: str, keep: Tensor) -> Sparse:
    """Returns the sparse layer for a dense one, in its mode, ready to train."""
    if isinstance(layer, nn.Conv2d):
        return SparseConv2d.from_dense(layer, kernel, keep=keep, train=True).train(layer.training)
    packed = SparseLinear.from_dense(layer, kernel, keep=keep, train=True).train(layer.training)
    packed.register_forward_pre_hook(_dense_features)
    return packed


def _dense_features(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    del module
    return tuple(value.to_dense() if isinstance(value, CSR) else value for value in args)


def _exchange(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts one layer in place of another, under every name it has."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new
