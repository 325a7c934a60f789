"""Statistics of batch normalisations, taken anew: after a network has lost units, old ones are of another network."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gossamer.counting import evaluating
from gossamer.tasks.task import Task


@torch.no_grad()
def recalibrate_(model: nn.Module, task: Task, batches: int) -> int:
    """Replaces running statistics by the plain means over some training batches; weights and chance stay as they are.

    Args:
        model: Any network, whose modes are left as they were.
        task: Gives the batches.
        batches: How many at most; 0 for none.

    Returns:
        How many forward passes it took: none for a network without running statistics.
    """
    norms = [norm for norm in model.modules() if isinstance(norm, _BatchNorm) and norm.running_mean is not None]
    if not norms or not batches:
        return 0
    momenta = [norm.momentum for norm in norms]
    seen = 0
    try:
        with evaluating(model), torch.random.fork_rng(devices=[]):
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # a plain mean over batches
                norm.train()
            for batch in itertools.islice(task.batches("train"), batches):
                task.loss(model, batch)
                seen += 1
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return seen
