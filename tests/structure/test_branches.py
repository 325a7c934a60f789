"""The graph of a run, its branches, and what is still a network without some of them, against brute force."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.models import build
from gossamer.models.vision.branched import Cells
from gossamer.structure.branches import Branch, flow


class Nested(nn.Module):
    """Two inputs; a sum of a chain and a sum; a shortcut around the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.inner, self.other, self.last = (nn.Linear(4, 4) for _ in range(5))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        inside = self.inner(x) + self.other(x)
        z = F.relu(self.left(inside)) + self.right(y)
        return z + self.last(z)


def branches(model: nn.Module, *args: Any) -> list[Branch]:
    return flow(model, args, {}).branches()


def test_branches_of_a_residual_network_are_its_blocks() -> None:
    model = build("resnet20", in_channels=3, classes=10)
    found = branches(model, torch.zeros(1, 3, 32, 32))
    assert [{name for name, _ in branch.modules if "norm" not in name} for branch in found] == [
        {f"blocks.{block}.conv1", f"blocks.{block}.conv2"} for block in range(9)
    ]
    assert {branch.kind for branch in found} == {"add"}


def test_only_the_smallest_branches_count() -> None:
    found = branches(Nested(), torch.randn(2, 4), torch.randn(2, 4))
    assert {branch.name for branch in found} == {"inner", "other", "right", "last"}  # left's holds inner and other


def test_what_is_still_a_network_is_what_brute_force_says() -> None:
    whole = flow(Nested(), (torch.randn(2, 4), torch.randn(2, 4)), {})
    found = whole.branches()
    for count in range(len(found) + 1):
        for some in itertools.combinations(found, count):
            names = {branch.name for branch in some}
            # Both inputs must reach the output: x by inner or other, y by right; last has a shortcut.
            assert whole.stands_without(some) == ("right" not in names and not {"inner", "other"} <= names), names


def test_every_cell_needs_a_branch() -> None:
    model = Cells(3, 4, 5)
    whole = flow(model, (torch.randn(2, 3, 16, 16),), {})
    found = whole.branches()
    assert len(found) == 9
    for some in itertools.combinations(range(9), 3):
        alone = len({number // 3 for number in some}) == 1
        assert whole.stands_without([found[number] for number in some]) == (not alone)


def test_shared_weights_and_plain_shortcuts_are_no_branches() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.one(x) + self.one(2 * x)

    assert branches(Shared(), torch.randn(2, 4)) == []


@pytest.mark.parametrize("in_place", [True, False])
def test_writing_in_place_is_seen(in_place: bool) -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.one(x)
            if in_place:
                y += self.two(x)
                return y.relu_()
            return (y + self.two(x)).relu()

    assert [branch.name for branch in branches(Written(), torch.randn(2, 4))] == ["one", "two"]
