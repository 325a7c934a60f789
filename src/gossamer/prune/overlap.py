"""When a network's structure settles: how much the weights it would keep now are those it keeps in the end.

Which weights are large is said to be decided early in training (Hoefler et al., "Sparsity in deep learning", JMLR 2021,
on early structure adaptation). `Structure` watches a training and remembers, after every epoch, which weights a method
would keep; the overlap of two such choices is the number they share over the number that either has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from gossamer.compression.method import Compression
from gossamer.errors import SettingError
from gossamer.prune.allocation import Uniform
from gossamer.prune.granularity import SingleWeights
from gossamer.prune.masks import Masks, choose
from gossamer.prune.weights import prunable_weights


class Structure(Compression):
    """Hooks of a training that remember its largest weights after each epoch and change nothing.

    Args:
        model: The network that is trained.
        sparsity: How many would be removed, the smallest of each layer, in [0, 1).

    Raises:
        ModelError: The model has no prunable weight.
        SettingError: The sparsity is out of range.

    >>> from gossamer.train import Training, fit
    >>> from gossamer.models import for_task
    >>> from gossamer.tasks import datasets
    >>> task = datasets.task("digits-graph")
    >>> model = for_task("gcn", task)
    >>> structure = Structure(model, sparsity=0.9)
    >>> history = fit(model, task, Training(epochs=3), hooks=structure)
    >>> [round(share) for share in structure.overlaps()[-1:]]
    [1]
    """

    def __init__(self, model: nn.Module, *, sparsity: float = 0.9) -> None:
        super().__init__(model, epochs=0)
        if not 0.0 <= sparsity < 1.0:
            raise SettingError(f"sparsity is {sparsity!r}; expected a number at least 0 and below 1")
        self._sparsity = sparsity
        self._masks = Masks(prunable_weights(model))
        self._seen: list[dict[str, Tensor]] = []

    @property
    def seen(self) -> list[dict[str, Tensor]]:
        """The masks after each epoch: parameter name to (R, C) bool, True = would be kept."""
        return list(self._seen)

    def after_epoch(self, epoch: int) -> None:
        """Remembers the largest weights."""
        del epoch
        scores = {weight.name: weight.weight.detach().abs() for weight in self._masks.weights}
        chosen = choose(self._masks, scores, granularity=SingleWeights(), allocation=Uniform(), sparsity=self._sparsity)
        self._seen.append({name: mask.cpu() for name, mask in chosen.items()})

    def overlaps(self) -> list[float]:
        """Returns, epoch by epoch, the overlap with the last epoch's masks; the last is 1."""
        return [overlap(masks, self._seen[-1]) for masks in self._seen]

    def state_dict(self) -> dict[str, Any]:
        """Returns the masks of all epochs so far."""
        return {"seen": [dict(masks) for masks in self._seen]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` returned."""
        self._seen = [dict(masks) for masks in state["seen"]]


def overlap(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> float:
    """Returns how many weights two sets of masks share, over how many either keeps, in [0, 1]; 1 where none keeps any.

    Args:
        left: Parameter name to mask, bool.
        right: Masks of the same parameters in the same shapes.

    >>> import torch
    >>> overlap({"w": torch.tensor([True, True, False])}, {"w": torch.tensor([True, False, True])})
    0.3333333333333333
    """
    shared = sum(int((mask & right[name]).sum()) for name, mask in left.items())
    either = sum(int((mask | right[name]).sum()) for name, mask in left.items())
    return shared / either if either else 1.0
