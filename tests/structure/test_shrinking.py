"""A network that loses units in training goes on as its masked twin would, the optimiser's memory included."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer.graph import csbm
from gossamer.models import build
from gossamer.structure import Cut, Removal, Shrinking
from gossamer.structure.removal import parse_ranges, ranges

GRAPH = csbm(60, 3, 12, seed=0)
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda of: torch.optim.SGD(of, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adam": lambda of: torch.optim.Adam(of, lr=0.01, weight_decay=1e-3),
    "adamw": lambda of: torch.optim.AdamW(of, lr=0.01),
}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 3)),
        (torch.randn(16, 6, generator=torch.Generator().manual_seed(0)),),
    ),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(54, 3)
        ),
        (torch.randn(16, 2, 5, 5, generator=torch.Generator().manual_seed(0)),),
    ),
    "gcn": (lambda: build("gcn", in_features=12, hidden=16, out_features=3, dropout=0.0), (GRAPH.x, GRAPH)),
}


def step(model: nn.Module, args: tuple[Any, ...], optimizer: torch.optim.Optimizer, gone: dict[str, Tensor]) -> None:
    """One training step; what is gone has no gradient and stays zero."""
    target = torch.arange(len(args[0])) % 3
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(*args), target).backward()
    tensors = dict(model.named_parameters())
    for name, mask in gone.items():
        tensors[name].grad.masked_fill_(mask, 0.0)  # type: ignore[union-attr]
    optimizer.step()
    with torch.no_grad():
        for name, mask in gone.items():
            tensors[name].masked_fill_(mask, 0.0)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_removed_network_equals_its_masked_twin_before_and_after_the_next_steps(name: str, kind: str) -> None:
    torch.manual_seed(0)
    make, args = NETWORKS[name]
    model = make()
    optimizer = OPTIMIZERS[kind](model.parameters())
    for _ in range(3):
        step(model, args, optimizer, {})
    twin, its = copy.deepcopy((model, optimizer))

    shrinking = Shrinking(model, args)
    masks = {group.name: torch.arange(group.size) % 3 != 1 for group in shrinking.groups()}
    plan = shrinking.keep(masks, optimizer)
    assert plan is not None
    stay: dict[str, list[tuple[int, Tensor]]] = {}
    gone = {name: torch.zeros_like(one, dtype=torch.bool) for name, one in twin.named_parameters()}
    for cut in plan.removal.cuts:
        stay.setdefault(cut.tensor, []).append((cut.dim, cut.positions()))
        lost = torch.ones(cut.size, dtype=torch.bool)
        lost[cut.positions()] = False
        gone[cut.tensor].index_fill_(cut.dim, lost.nonzero().flatten(), True)
    with torch.no_grad():
        for key, parameter in twin.named_parameters():
            parameter.masked_fill_(gone[key], 0.0)
            for value in its.state[parameter].values():
                if value.shape == parameter.shape:
                    value.masked_fill_(gone[key], 0.0)

    torch.testing.assert_close(model(*args), twin(*args))
    for _ in range(3):
        step(model, args, optimizer, {})
        step(twin, args, its, gone)
        small = dict(model.named_parameters())
        for key, parameter in twin.named_parameters():
            kept = parameter.detach()
            for dim, positions in stay.get(key, []):
                kept = kept.index_select(dim, positions)
            torch.testing.assert_close(small[key].detach(), kept, rtol=1e-4, atol=1e-6)
    assert sum(p.numel() for p in model.parameters()) < 0.7 * sum(p.numel() for p in twin.parameters())


def test_units_go_again_and_again_and_an_untouched_network_follows() -> None:
    torch.manual_seed(0)
    make, args = NETWORKS["mlp"]
    model, other = make(), make()
    shrinking = Shrinking(model, args)
    for _ in range(3):
        shrinking.keep({group.name: torch.arange(group.size) != 0 for group in shrinking.groups()})
    assert [record["kept"] for record in shrinking.widths()] == [7, 5]
    assert [record["units"] for record in shrinking.widths()] == [10, 8]
    assert shrinking.share == (6 * 7 + 7 * 5 + 5 * 3) / (6 * 10 + 10 * 8 + 8 * 3)
    again = Shrinking(other, args)
    again.load_state_dict(shrinking.state_dict())
    assert {n: p.shape for n, p in other.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}
    assert again.share == shrinking.share


def test_nothing_to_remove_is_no_plan() -> None:
    make, args = NETWORKS["mlp"]
    shrinking = Shrinking(make(), args)
    assert (
        shrinking.keep({group.name: torch.ones(group.size, dtype=torch.bool) for group in shrinking.groups()}) is None
    )
    assert shrinking.share == 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=8, max_size=8), st.data())
def test_one_removal_does_what_two_in_a_row_do(first: list[bool], data: st.DataObject) -> None:
    first[0] = True
    second = [True, *data.draw(st.lists(st.booleans(), min_size=sum(first) - 1, max_size=sum(first) - 1))]

    def cut(mask: list[bool]) -> Removal:
        keep = ranges(torch.tensor(mask).nonzero().flatten())
        return Removal(cuts=(Cut(tensor="weight", dim=0, size=len(mask), keep=keep),))

    joined = cut(first).then(cut(second))
    expected = torch.arange(8)[torch.tensor(first)][torch.tensor(second)]
    assert torch.equal(parse_ranges(joined.cuts[0].keep), expected)
    assert joined.cuts[0].size == 8
