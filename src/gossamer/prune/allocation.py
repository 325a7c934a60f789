"""How much is kept where: the number of weights that each layer keeps at a sparsity of the whole.

The total is exact: ceil((1 − sparsity) · all prunable weights), or what whole groups can reach of it, shared
out with the largest remainders rounded up, ties by order. No layer keeps less than its best group, or more
than it has left. Where these lower bounds alone exceed the total (tiny layers, large groups), they win.

| allocation | weights kept in layer l |
|---|---|
| `Uniform` | ∝ its number of weights: the same sparsity everywhere |
| `Global` | as many as it has among the best scores of the whole network |
| `ErdosRenyiKernel` | ∝ n_in + n_out + kh + kw, so that small layers stay denser |
| `Sensitivity` | as few as it can for the rise of the loss that all layers share (`prune.sensitivity`) |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from gossamer.errors import SettingError
from gossamer.prune.selection import Groups, kept
from gossamer.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Allocation(Settings):
    """A family: how much is kept where."""

    def budgets(self, layers: Sequence[Groups], sparsity: float) -> list[int]:
        """Returns the number of weights that each layer keeps.

        Args:
            layers: At least one.
            sparsity: Of all their weights together, in [0, 1).
        """
        raise TypeError(f"{type(self).__name__} is abstract: define budgets()")

    def scans(self, layers: int) -> int:
        """Returns how often `scanned` asks for the loss of a network of so many layers."""
        del layers
        return 0

    def require_no_scan(self, method: str) -> None:
        """Refuses an allocation that looks at the network first, for a method that does not let it."""
        if self.scans(1):
            raise SettingError(
                f"{method}: allocation {self.name!r} scans a network as it is pruned, which only 'hard-masks' lets it "
                "do; use 'erdos-renyi-kernel', 'uniform' or 'global'"
            )

    def scanned(self, layers: int, loss: Callable[[int, float], float]) -> Allocation:
        """Returns the allocation to use for a network; itself, unless it has to look at the network first.

        Args:
            layers: How many are pruned.
            loss: The training loss with one layer, by its place, pruned to a sparsity and the others as they are.
        """
        del layers, loss
        return self


@dataclass(frozen=True, kw_only=True)
class Uniform(Allocation):
    """The same sparsity in every layer.

    A layer keeps at least one weight an output, as long as the total has room for that in all layers: at 97 %
    sparsity a final layer of 128 weights would otherwise keep 4.
    """

    name = "uniform"

    def budgets(self, layers: Sequence[Groups], sparsity: float) -> list[int]:
        """Returns shares in proportion to the layers' sizes."""
        total = _total(layers, sparsity)
        lowest = [layer.best for layer in layers]
        an_output = [min(max(layer.best, layer.shape[0]), layer.available) for layer in layers]
        return apportion(
            [layer.weights for layer in layers],
            total,
            lowest=an_output if sum(an_output) <= total else lowest,
            highest=[layer.available for layer in layers],
            quanta=[layer.quantum for layer in layers],
        )


@dataclass(frozen=True, kw_only=True)
class ErdosRenyiKernel(Allocation):
    """Density of a layer = ε · (sum of its dimensions) / (product of its dimensions).

    Mocanu et al. (Nature Communications 2018) for matrices, Evci et al. (ICML 2020, section 3) with kernel
    sizes. ε is such that the total is met; layers whose density would exceed 1 are dense and ε is found anew
    for the others. For a grouped convolution n_in is C_in / groups, the dimension that the weight has.
    """

    name = "erdos-renyi-kernel"

    def budgets(self, layers: Sequence[Groups], sparsity: float) -> list[int]:
        """Returns shares in proportion to the sums of the layers' dimensions."""
        return apportion(
            [sum(layer.shape) for layer in layers],
            _total(layers, sparsity),
            lowest=[layer.best for layer in layers],
            highest=[layer.available for layer in layers],
            quanta=[layer.quantum for layer in layers],
        )


@dataclass(frozen=True, kw_only=True)
class Global(Allocation):
    """One ranking of all groups of the network; scores of different layers are compared as they are."""

    name = "global"

    def budgets(self, layers: Sequence[Groups], sparsity: float) -> list[int]:
        """Returns how many weights of each layer are among the best, after the best group of each."""
        scores = []
        for layer in layers:
            score = layer.score.double().clone()
            score[score.argmax()] = math.inf
            scores.append(score)
        score = torch.cat(scores)
        sizes = torch.cat([layer.sizes.to(score.device) for layer in layers])
        owner = torch.repeat_interleave(torch.tensor([len(part) for part in scores])).to(score.device)
        order = torch.argsort(score, descending=True, stable=True)
        fits = (sizes[order].cumsum(0) <= _total(layers, sparsity)) & (score[order] > -math.inf)
        taken = order[fits | (score[order] == math.inf)]
        counts = torch.zeros(len(layers), dtype=torch.int64, device=score.device)
        counts.index_add_(0, owner[taken], sizes[taken])
        return [int(count) for count in counts]


def apportion(
    shares: Sequence[float],
    total: int,
    *,
    lowest: Sequence[int],
    highest: Sequence[int],
    quanta: Sequence[int],
) -> list[int]:
    """Returns whole numbers in proportion to `shares`, within bounds, whose sum is `total`.

    A number that its bound stops is fixed there and the others are scaled anew; fractions are then rounded
    down and what is missing is given to the largest remainders, ties to the earlier. A total out of reach is
    replaced by the nearest that can be reached. Where numbers must be multiples of their quanta, the sum falls
    short of the total by what no quantum fits into.

    >>> apportion([3, 1, 1], 10, lowest=[0, 0, 0], highest=[4, 9, 9], quanta=[1, 1, 1])
    [4, 3, 3]
    """
    total = min(max(total, sum(lowest)), sum(highest))

    def clamped(scale: float) -> list[float]:
        return [min(max(scale * share, low), high) for share, low, high in zip(shares, lowest, highest, strict=True)]

    below, above = 0.0, max(highest) / min(shares)
    for _ in range(200):  # bisection on a monotone function, to the last bit
        middle = (below + above) / 2
        if sum(clamped(middle)) < total:
            below = middle
        else:
            above = middle
    exact = [round(value, 6) for value in clamped(above)]
    result = [
        high if value >= high else max(low, math.floor(value / quantum) * quantum)
        for value, low, high, quantum in zip(exact, lowest, highest, quanta, strict=True)
    ]
    for i in sorted(range(len(exact)), key=lambda i: (-round((exact[i] - result[i]) / quanta[i], 6), i)):
        more = min(quanta[i], highest[i] - result[i])
        if sum(result) + more <= total:
            result[i] += more
    return result


def _total(layers: Sequence[Groups], sparsity: float) -> int:
    return kept(sum(layer.weights for layer in layers), sparsity)
