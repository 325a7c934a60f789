"""What the inputs of each layer are like: the products x·xᵀ that pruning layer by layer needs.

For a linear layer x is a row of its input; for a convolution, the patch under the kernel, one for each place. A layer
whose inputs cannot be seen, because its weight is used outside a module's call as in attention's last projection,
counts as if its inputs were of equal size and had nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.counting import evaluating
from gossamer.graph import CSR
from gossamer.prune.weights import PrunableWeight
from gossamer.tasks.task import Task


@torch.no_grad()
def input_products(
    model: nn.Module, task: Task, weights: Sequence[PrunableWeight], *, batches: int, diagonal: bool
) -> dict[str, Tensor]:
    """Returns the sums of x·xᵀ over the first training batches, by weight name.

    The model runs in eval mode and is left as it was.

    Args:
        model: The network that `weights` belong to.
        task: Gives the batches.
        weights: Those of whose layers the inputs are wanted.
        batches: How many batches at most, at least 1.
        diagonal: Whether only the diagonal, the sums of squares, is wanted.

    Returns:
        (G, C, C), or (G, C) of the diagonal, G being the groups of a convolution, 1 for other layers, and C the
        columns of the weight's matrix.
    """
    found: dict[str, Tensor] = {}
    modules = dict(model.named_modules())
    handles = []
    for weight in weights:

        def note(module: nn.Module, args: tuple[Any, ...], _: Any, weight: PrunableWeight = weight) -> None:
            rows = _rows(module, args[0], weight) if args else None
            if rows is not None:
                products = rows.square().sum(1) if diagonal else rows.transpose(1, 2) @ rows
                found[weight.name] = found[weight.name] + products if weight.name in found else products

        handles.append(modules[weight.layer].register_forward_hook(note))
    try:
        with evaluating(model):
            for seen, batch in enumerate(task.batches("train"), start=1):
                task.loss(model, batch)
                if seen == batches:
                    break
    finally:
        for handle in handles:
            handle.remove()
    for weight in weights:
        if weight.name not in found:
            alike = torch.ones(weight.columns, dtype=torch.float64, device=weight.weight.device)
            found[weight.name] = alike[None] if diagonal else torch.diag(alike)[None]
    return found


def _rows(module: nn.Module, x: Any, weight: PrunableWeight) -> Tensor | None:
    """Returns what a layer multiplies its weight with, (G, n, C) in double precision; None where it is not seen."""
    if isinstance(x, CSR):
        x = x.to_dense()
    if not isinstance(x, Tensor):
        return None
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return _patches(module, x.double(), weight.columns)
    if x.shape[-1] != weight.columns:
        return None
    return x.reshape(1, -1, weight.columns).double()


def _patches(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, x: Tensor, columns: int) -> Tensor:
    """Returns the patches under a kernel, (G, n, C): by a convolution whose weights pick one number each."""
    taps = columns // (layer.in_channels // layer.groups)
    pick = torch.eye(taps, dtype=x.dtype, device=x.device).view(taps, 1, *layer.kernel_size)
    channels = layer.in_channels
    convolve = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.dim()]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    out = convolve(
        padded, pick.repeat(channels, *[1] * (x.dim() - 1)), None, layer.stride, 0, layer.dilation, groups=channels
    )
    return out.movedim(1, -1).reshape(-1, layer.groups, columns).transpose(0, 1)
