"""Random networks of layers that add, concatenate, split, reshape and normalise: removed always equals masked."""

from __future__ import annotations

import copy
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.structure import GroupRandom, plan
from gossamer.structure.twin import difference, outputs

WIDTHS = (4, 6, 8, 12)


class Step(nn.Module):
    """One step of a random network: what it does with values that are there, (batch, channels, length)."""

    def __init__(self, kind: str, sources: tuple[int, ...], before: int, after: int, groups: int = 1) -> None:
        super().__init__()
        self.kind, self.sources, self.groups, self.width = kind, sources, groups, after
        if kind == "conv":
            self.layer: nn.Module = nn.Conv1d(before, after, 3, padding=1, groups=groups)
        elif kind == "linear":
            self.layer = nn.Linear(before, after)
        elif kind == "batch":
            self.layer = nn.BatchNorm1d(before)
            nn.init.uniform_(self.layer.running_var, 0.5, 2.0)
        elif kind == "layer":
            self.layer = nn.LayerNorm(before)
        elif kind == "group":
            self.layer = nn.GroupNorm(groups, before)

    def forward(self, values: list[Tensor]) -> Tensor:
        x = values[self.sources[0]]
        if self.kind in {"linear", "layer"}:
            return self.layer(x.transpose(1, 2)).transpose(1, 2)
        if self.kind in {"conv", "batch", "group"}:
            return self.layer(x).tanh()
        return getattr(self, f"_{self.kind}")(x, [values[source] for source in self.sources])

    def _add(self, x: Tensor, both: list[Tensor]) -> Tensor:
        return x + both[1]

    def _multiply(self, x: Tensor, both: list[Tensor]) -> Tensor:
        return x * both[1].sigmoid()

    def _cat(self, x: Tensor, both: list[Tensor]) -> Tensor:
        return torch.cat(both, 1)

    def _halves(self, x: Tensor, _: list[Tensor]) -> Tensor:
        left, right = x.chunk(2, 1)
        return left * right

    def _split(self, x: Tensor, _: list[Tensor]) -> Tensor:
        return x.split([self.width, x.shape[1] - self.width], 1)[0]

    def _shuffle(self, x: Tensor, _: list[Tensor]) -> Tensor:
        batch, channels, length = x.shape
        parts = x.view(batch, self.groups, channels // self.groups, length)
        return parts.transpose(1, 2).reshape(batch, channels, length)

    def _mean(self, x: Tensor, _: list[Tensor]) -> Tensor:
        return x - x.mean(1, keepdim=True)


class RandomNetwork(nn.Module):
    """Steps one after the other, each on any values before it; the last values are summed up by a linear layer."""

    def __init__(self, steps: list[Step], out: int) -> None:
        super().__init__()
        self.steps, self.out = nn.ModuleList(steps), nn.Linear(out, 3)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for step in self.steps:
            values.append(step(values))
        return self.out(values[-1].flatten(2).mean(-1))


@st.composite
def networks(draw: Any) -> nn.Module:
    widths = [3]
    steps: list[Step] = []

    def add(kind: str, sources: tuple[int, ...], after: int, groups: int = 1) -> None:
        steps.append(Step(kind, sources, widths[sources[0]], after, groups))
        widths.append(after)

    add("conv", (0,), draw(st.sampled_from(WIDTHS)))
    for _ in range(draw(st.integers(1, 7))):
        source = draw(st.integers(1, len(widths) - 1))
        width = widths[source]
        same = [place for place, other in enumerate(widths) if other == width and place]
        kind = draw(
            st.sampled_from(
                [
                    "conv",
                    "grouped",
                    "linear",
                    "batch",
                    "layer",
                    "group",
                    "add",
                    "multiply",
                    "cat",
                    "halves",
                    "split",
                    "shuffle",
                    "mean",
                ]
            )
        )
        groups = draw(st.sampled_from([g for g in (1, 2, 3, width) if width % g == 0]))
        if kind == "grouped":
            add("conv", (source,), width * draw(st.integers(1, 2)), groups)
        elif kind in {"conv", "linear"}:
            add(kind, (source,), draw(st.sampled_from(WIDTHS)))
        elif kind in {"add", "multiply"}:
            add(kind, (source, draw(st.sampled_from(same))), width)
        elif kind == "cat":
            other = draw(st.integers(1, len(widths) - 1))
            add(kind, (source, other), width + widths[other])
        elif kind == "halves" and width % 2 == 0:
            add(kind, (source,), width // 2)
        elif kind == "split" and width > 2:
            add(kind, (source,), draw(st.integers(1, width - 1)))
        elif kind in {"group", "shuffle"}:
            add(kind, (source,), width, groups)
        elif kind in {"batch", "layer", "mean"}:
            add(kind, (source,), width)
    return RandomNetwork(steps, widths[-1])


@settings(max_examples=60)
@given(networks(), st.sampled_from([0.3, 0.5, 0.75]), st.integers(0, 9))
def test_removed_equals_masked(network: nn.Module, ratio: float, seed: int) -> None:
    network.eval()
    example = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed))
    try:
        found = plan(network, example, ratio=ratio, score=GroupRandom(), seed=seed)
    except ModelError as error:
        if "nothing can be removed" not in str(error):
            raise
        return
    assert not found.unknown
    assert not [reason for reason in found.refused.values() if reason.startswith("the smaller network")]
    small = found.apply(network)
    assert outputs(small, (example,), {})[0].shape == (2, 3)
    if not any(step.kind in {"layer", "group", "mean"} for step in network.steps):  # the twin is then zeros alone
        masked = copy.deepcopy(network)
        tensors = dict(masked.named_parameters()) | dict(masked.named_buffers())
        with torch.no_grad():
            for cut in found.removal.cuts:
                gone = [place for place in range(cut.size) if place not in set(cut.positions().tolist())]
                tensors[cut.tensor].index_fill_(cut.dim, torch.tensor(gone), 0)
        assert difference(outputs(small, (example,), {}), outputs(masked, (example,), {})) < 1e-4
