r"""Scores by information about an intervention: units that say little about a disturbance of their layer's input go.

After Ferianc, Sankaran, Mastropietro, Saboori & Cappart, "On causal inference for data-free structured pruning",
AAAI-22 workshop ITCI, of which we know the abstract alone: the input is disturbed with as much entropy as it can have,
the disturbance is propagated layer by layer, and the mutual information of a layer's disturbed inputs z and its outputs
y ranks the units. No data are needed. The estimators are those of effective information (Hoel, 2017; Mattsson, Michaud
& Hoel, 2020), an assumption of ours:

    c_j = Σ_i I(z_i; y_j)        y behind the non-linearity, z_i an input channel

| estimator | I(z; y) |
|---|---|
| `Histograms` | H(z) + H(y) − H(z, y) from counts in bins, the same for a whole layer, less the Miller–Madow bias |
| `Correlations` | −½·log(1 − ρ²), exact where z and the unit's sum before the non-linearity are jointly Gaussian |
| `Entropies` | H(y), which is I(z; y) of the whole input z, as y follows from it |

Input channels of a convolution are the means of the patch under the kernel. Groups are scored in the order in which
they are made; those before are already without the units that the plan takes from them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_iter, tree_map

from gossamer.settings import Settings, bounded
from gossamer.structure.axes import Axis
from gossamer.structure.groups import Group
from gossamer.structure.observer import Observer
from gossamer.structure.scores import GroupScore
from gossamer.structure.trace import Product
from gossamer.structure.watch import Done, Handler, holds, of_units, tensors_of

_LAYERS = frozenset({"mm", "addmm", "_addmm_activation", "linear", "convolution"})
_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class Estimator(Settings):
    """A family: how much the outputs of a layer say about its inputs."""

    def information(self, inputs: Tensor, sums: Tensor, outputs: Tensor) -> Tensor:
        """Returns one number an output, (outputs,) float64, in nats.

        Args:
            inputs: (samples, inputs) float64.
            sums: (samples, outputs) float64, before the non-linearity.
            outputs: (samples, outputs) float64, behind it.
        """
        raise TypeError(f"{type(self).__name__} is abstract: define information()")


@dataclass(frozen=True, kw_only=True)
class Histograms(Estimator):
    """Σ_i I(z_i; y_j) from counts in bins."""

    name = "histograms"
    bins: int = bounded(32, ge=2)

    def information(self, inputs: Tensor, sums: Tensor, outputs: Tensor) -> Tensor:
        """Returns the sum over inputs; 0 where the bias is larger than what is found."""
        del sums
        bins, count = self.bins, outputs.shape[1]
        of_outputs = _binned(outputs, bins)
        places = of_outputs + bins * bins * torch.arange(count)
        total = torch.zeros(count, dtype=torch.float64)
        entropy_y = _entropy(_counts(of_outputs + bins * torch.arange(count), bins * count).view(count, bins))
        for of_input in _binned(inputs, bins).T:
            joint = _counts(places + bins * of_input[:, None], bins * bins * count).view(count, bins * bins)
            entropy_z = _entropy(_counts(of_input, bins)[None])
            total += (entropy_z + entropy_y - _entropy(joint)).clamp_min(0.0)
        return total


@dataclass(frozen=True, kw_only=True)
class Correlations(Estimator):
    """Σ_i −½·log(1 − ρ_ij²)."""

    name = "correlations"

    def information(self, inputs: Tensor, sums: Tensor, outputs: Tensor) -> Tensor:
        """Returns the sum over inputs."""
        del outputs
        z, y = (_standard(part) for part in (inputs, sums))
        squared = (z.T @ y / len(z)).square().clamp(max=1.0 - _LEAST)
        return -0.5 * torch.log1p(-squared).sum(0)


@dataclass(frozen=True, kw_only=True)
class Entropies(Estimator):
    """H(y_j) from counts in bins."""

    name = "entropies"
    bins: int = bounded(32, ge=2)

    def information(self, inputs: Tensor, sums: Tensor, outputs: Tensor) -> Tensor:
        """Returns one entropy an output."""
        del inputs, sums
        count = outputs.shape[1]
        places = _binned(outputs, self.bins) + self.bins * torch.arange(count)
        return _entropy(_counts(places, self.bins * count).view(count, self.bins))


@dataclass(frozen=True, kw_only=True)
class CausalInformation(GroupScore):
    """What a unit says about an intervention on its layer's input; looks at no data."""

    name = "causal"
    estimator: Estimator = field(default_factory=Histograms)
    do: Literal["propagated", "local"] = "propagated"  # "local": each layer's input is drawn anew, channel by channel
    noise: Literal["uniform", "normal"] = "uniform"  # of the network's input; over its range, or of its deviation
    draws: int = bounded(256, ge=2)  # images, or rows, of the disturbance
    samples: int = bounded(16384, ge=2)  # of inputs and outputs of a layer, at most

    def scores(self, groups: Sequence[Group], observer: Observer) -> Mapping[Group, Tensor]:
        """Returns the sums over the layers that make each group; groups that no product makes are left out."""
        model = copy.deepcopy(observer.model)
        inputs = _disturbed(observer, self)
        made: dict[Group, list[int]] = {}
        for group in groups:
            found = [n for n, product in enumerate(observer.trace.products) if _makes(product, group.axis)]
            if found:
                made[group] = found
        result: dict[Group, Tensor] = {}
        for group in sorted(made, key=lambda group: made[group][0]):
            layers = {id(observer.trace.products[n]) for n in made[group]}
            seen: list[dict[int, list[Tensor]]] = []
            for args, kwargs in inputs:
                watch = _Causes(group, layers, observer.generator, local=self.do == "local")
                observer.run(model, args, kwargs, watch)
                seen.append(watch.finish())
            total = torch.zeros(group.size, dtype=torch.float64)
            for layer in seen[0]:
                parts = [torch.cat([run[layer][place] for run in seen]) for place in range(3)]
                some = torch.randperm(len(parts[0]), generator=observer.generator)[: self.samples]
                total += self.estimator.information(*(part[some].double() for part in parts))
            result[group] = total
            _silence(model, group, observer.keep({group: result[group]})[group])
        return result


class _Causes(Handler):
    """Keeps the inputs, the sums and the outputs of the layers that make a group, in one run."""

    def __init__(self, group: Group, layers: set[int], generator: torch.Generator, *, local: bool) -> None:
        self._group, self._layers, self._generator, self._local = group, layers, generator, local
        self._found: dict[int, list[Tensor]] = {}
        self._open: dict[int, tuple[Tensor, dict[int, tuple[int, Tensor]]]] = {}
        # by id, what is on its way: a result, and of each layer that is in it the dimension of the units, and the units

    def finish(self) -> dict[int, list[Tensor]]:
        """Returns, by layer, inputs (samples, inputs), sums and outputs (samples, units)."""
        self._close(list(self._open.values()))
        return self._found

    def product(self, product: Product, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Looks at a layer that makes the group; what a layer takes in is complete."""
        given = tensors_of(args, kwargs)
        if all(product.fed):  # a sum over neighbours, say
            return self.other(func, args, kwargs)
        self._close([self._open[id(tensor)] for tensor in given if id(tensor) in self._open])
        if not self._open and self._found.keys() == self._layers:
            raise Done
        if id(product) not in self._layers:
            return func(*args, **kwargs)
        x, along = given[product.fed.index(True)], _summed_dim(product)
        if self._local:
            drawn = _drawn(x, along, self._generator)
            args, x = tuple(drawn if item is x else item for item in args), drawn
        result = func(*args, **kwargs)
        dim, units = _place(product.output, self._group.axis)
        if result.shape[dim] == len(units):
            if product.name == "convolution":
                x = _patch_means(func, args)
            rows = x.movedim(along, -1).reshape(-1, x.shape[along])
            sums = of_units(result, dim, units, self._group.size, apart=False)[0].T
            rows = rows.repeat(len(sums) // len(rows), 1)  # a unit of several positions has a sample a position
            self._found[id(product)] = [rows, sums, sums]
            self._open[id(result)] = (result, {id(product): (dim, units)})
        return result

    def other(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Follows what layers made through operators that keep its shape."""
        result = func(*args, **kwargs)
        first = result[0] if isinstance(result, tuple) else result
        if self._open and isinstance(first, Tensor) and first.is_floating_point():
            layers: dict[int, tuple[int, Tensor]] = {}
            for tensor in tensors_of(args, kwargs):
                if id(tensor) in self._open and first.shape == tensor.shape:
                    layers |= self._open[id(tensor)][1]
            if layers:
                self._open[id(first)] = (first, layers)
        return result

    def _close(self, finished: list[tuple[Tensor, dict[int, tuple[int, Tensor]]]]) -> None:
        """Takes what has become of layers' sums as their outputs; the latest, where there are several."""
        done: set[int] = set()
        for tensor, layers in finished:
            for layer, (dim, units) in layers.items():
                self._found[layer][2] = of_units(tensor, dim, units, self._group.size, apart=False)[0].T
                done.add(layer)
        left = {
            key: (tensor, {n: at for n, at in layers.items() if n not in done})
            for key, (tensor, layers) in self._open.items()
        }
        self._open = {key: known for key, known in left.items() if known[1]}


def _makes(product: Product, leaf: Axis) -> bool:
    """Says whether a product of the network's input with weights makes the units of a leaf."""
    if product.name not in _LAYERS or all(product.fed) or not any(product.fed) or not holds(product.output, leaf):
        return False
    return not holds(product.inputs[product.fed.index(True)], leaf)


def _summed_dim(product: Product) -> int:
    """Returns the dimension of what a layer takes in over which it sums."""
    if product.name == "convolution":
        return 1
    first = product.name == "linear" or product.fed.index(True) == len(product.fed) - 2
    return -1 if first else -2


def _place(axes: Sequence[Axis], leaf: Axis) -> tuple[int, Tensor]:
    return next((dim, units) for dim, axis in enumerate(axes) for units in axis.units(leaf))


def _patch_means(convolution: Any, args: tuple[Any, ...]) -> Tensor:
    """Returns the mean of each input channel under the kernel, (N, channels, places of the result...)."""
    x, weight = args[0], args[1]
    kernel = weight.shape[2:]
    mean = x.new_full((x.shape[1], 1, *kernel), 1.0 / max(kernel.numel(), 1))
    found: Tensor = convolution(x, mean, None, *args[3:8], x.shape[1])
    return found


def _drawn(x: Tensor, along: int, generator: torch.Generator) -> Tensor:
    """Returns normal numbers with the mean and deviation of each channel, within the range of all."""
    others = [dim for dim in range(x.dim()) if dim != along % x.dim()]
    noise = torch.randn(x.shape, generator=generator).to(x)
    drawn = x.mean(others, keepdim=True) + x.std(others, correction=0, keepdim=True) * noise
    return drawn.clamp(x.min(), x.max())


def _disturbed(observer: Observer, score: CausalInformation) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Returns inputs like the example whose numbers, of two dimensions or more, are drawn at random.

    An example that is one tensor gives a batch of `draws`; another is drawn until it has as many rows.
    """
    whole = (tuple(observer.args), dict(observer.kwargs))
    leaves = [leaf for leaf in tree_iter(whole) if leaf is not None]
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    rows = max((len(tensor) for tensor in tensors if _disturbable(tensor)), default=score.draws)
    alone = len(leaves) == len(tensors) == 1

    def draw(value: Any) -> Any:
        if not _disturbable(value):
            return value
        shape = (score.draws, *value.shape[1:]) if alone else value.shape
        if score.noise == "normal":
            spread = float(value.std()) or 1.0
            return (float(value.mean()) + spread * torch.randn(shape, generator=observer.generator)).to(value)
        low, high = float(value.min()), float(value.max())
        low, high = (low, high) if high > low else (0.0, 1.0)
        return (low + (high - low) * torch.rand(shape, generator=observer.generator)).to(value)

    return [tree_map(draw, whole) for _ in range(1 if alone else -(-score.draws // max(rows, 1)))]


def _disturbable(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 1


@torch.no_grad()
def _silence(model: nn.Module, group: Group, keep: Tensor) -> None:
    """Sets all parameters of the units that do not stay to zero."""
    parameters = dict(model.named_parameters())
    for member in group.members:
        if member.tensor in parameters:
            gone = (member.units >= 0) & ~keep[member.units.clamp_min(0)]
            weight = parameters[member.tensor]
            weight.index_fill_(member.dim, gone.nonzero().flatten().to(weight.device), 0.0)


def _standard(values: Tensor) -> Tensor:
    """Returns columns of mean 0 and deviation 1; those that do not vary are 0."""
    centred = values - values.mean(0)
    deviation = centred.square().mean(0).sqrt()
    return torch.where(deviation > _LEAST, centred / deviation.clamp_min(_LEAST), 0.0)


def _binned(values: Tensor, bins: int) -> Tensor:
    """Returns the bin of each value; edges are those of the whole layer."""
    low, high = values.min(), values.max()
    places: Tensor = ((values - low) / (high - low).clamp_min(_LEAST) * bins).long()
    return places.clamp(0, bins - 1)


def _counts(places: Tensor, size: int) -> Tensor:
    return torch.bincount(places.flatten(), minlength=size).double()


def _entropy(counts: Tensor) -> Tensor:
    """Returns the entropy of each row of counts, in nats, with the Miller–Madow term (occupied cells − 1) / 2n."""
    count = counts.sum(-1)
    logs = torch.special.xlogy(counts, counts).sum(-1)
    found: Tensor = count.log() - logs / count + ((counts > 0).sum(-1) - 1) / (2.0 * count)
    return found
