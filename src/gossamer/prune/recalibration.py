"""Batch statistics anew: after pruning, running means and variances are those of another network."""

from __future__ import annotations

from itertools import islice

import torch
from torch import nn

from gossamer.tasks.task import Task


@torch.no_grad()
def recalibrate(model: nn.Module, task: Task, batches: int) -> int:
    """Takes the running statistics of batch normalisations anew, as means over training batches.

    Only statistics change: the network's mode, its other buffers' modes and the state of chance are left as they were.

    Returns:
        How many batches were run: 0 where there is nothing to recalibrate.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms or not batches:
        return 0
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a mean over all batches
        norm.train()
    seen = 0
    try:
        with torch.random.fork_rng(devices=[]):
            for batch in islice(task.batches("train"), batches):
                task.loss(model, batch)
                seen += 1
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
    return seen
