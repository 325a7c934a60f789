"""Depth: branches found however they are written, networks without them, and layers that merge."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gossamer
from gossamer.deploy import changes
from gossamer.errors import FileError, ModelError, SettingError
from gossamer.models import build
from gossamer.structure import DepthPlan, Dissimilarity, LossIncrease, MergeLayers, mergeable, plan, plan_depth
from gossamer.structure.edits import LeaveOut, LeftOut, Merged, edit_
from gossamer.structure.residual import Without, branches
from gossamer.structure.twin import difference, outputs
from tests.battery.networks import NETWORKS

IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Written(nn.Module):
    """Residual additions written in four ways, and an addition that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.full((4,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x) + self.second(x)
        x = x + self.a(x)
        x = self.b(x.relu()) + x
        y = x.clone()
        y += self.scale * self.c(y)
        return torch.add(y, nn.functional.gelu(self.d(y)))


def named(name: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return build(name, in_channels=3, classes=4, **options).eval()


def test_branches_are_found_however_they_are_written() -> None:
    found = branches(Written(), (torch.randn(3, 4),), {})
    assert [(one.place, one.summand, one.inside) for one in found] == [
        (1, 1, ("a",)),
        (2, 0, ("b",)),
        (3, 1, ("c",)),
        (4, 1, ("d",)),
    ]


def test_a_network_without_branches_is_the_one_whose_branches_are_zero() -> None:
    network, x = Written(), torch.randn(3, 4)
    small = plan_depth(network, x, ratio=1.0).apply(network)
    torch.testing.assert_close(small(x), network.first(x) + network.second(x))


@pytest.mark.parametrize(
    ("name", "options", "count", "refused"),
    [("resnet20", {"depth": 14}, 4, 0), ("vit", {"image_size": 16}, 8, 0), ("mixer", {"image_size": 16}, 8, 0)],
)
def test_blocks_of_the_zoo_go(name: str, options: dict[str, object], count: int, refused: int) -> None:
    network = named(name, **options)
    found = plan_depth(network, IMAGES, ratio=0.5)
    assert (len(found.blocks), len(found.refused)) == (count, refused)
    assert sum(block.removed for block in found.blocks) == count // 2
    gone = [branch for branch, block in zip(_removable(network), found.blocks, strict=True) if block.removed]
    expected = outputs(network, (IMAGES,), {}, within=Without(gone))
    assert difference(outputs(found.apply(network), (IMAGES,), {}), expected) < 1e-5
    assert difference(outputs(network, (IMAGES,), {}), expected) > 1e-3
    assert found.cost.parameters < found.cost_before.parameters
    assert found.cost.parameters == sum(p.numel() for p in found.apply(network).parameters())


def _removable(network: nn.Module) -> list:
    return [branch for branch in branches(network, (IMAGES,), {}) if branch.around or branch.inside]


def test_worths_are_what_they_say() -> None:
    network, x = Written(), torch.randn(64, 4)

    def losses(model: nn.Module) -> Iterator[Tensor]:
        for part in x.chunk(2):
            yield model(part).square().mean()

    found = plan_depth(network, x, worth=LossIncrease(), losses=losses)
    whole = torch.stack([*losses(network)]).mean()
    for place, name in enumerate("abcd"):
        without = edit_(copy.deepcopy(network), [LeaveOut(layer=name, leaves="zero", rank=2)])
        increase = torch.stack([*losses(without)]).mean() - whole
        assert found.blocks[place].worth == pytest.approx(increase.item(), abs=1e-6)
    left = min(found.blocks, key=lambda block: block.worth)
    assert left.removed
    alike = plan_depth(network, x, worth=Dissimilarity())
    before = network.first(x) + network.second(x)
    cosine = nn.functional.cosine_similarity(before, before + network.a(before)).mean()
    assert alike.blocks[0].worth == pytest.approx(1 - cosine.item(), abs=1e-5)
    with pytest.raises(SettingError, match="needs losses"):
        plan_depth(network, x, worth=LossIncrease())


class Inline(nn.Module):
    """A branch of which a part is no module's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.out = nn.Parameter(torch.randn(4, 4)), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x + x @ self.weight)


def test_what_cannot_be_left_out_is_refused_with_the_reason() -> None:
    with pytest.raises(ModelError, match="no module works for this branch alone"):
        plan_depth(Inline(), torch.randn(2, 4))
    with pytest.raises(ModelError, match="it has no residual branch"):
        plan_depth(nn.Linear(4, 4), torch.randn(2, 4))
    with pytest.raises(SettingError, match=r"ratio is 1\.5"):
        plan_depth(Written(), torch.randn(2, 4), ratio=1.5)
    kept = plan_depth(Written(), torch.randn(2, 4), ratio=1.0, keep=["b"])
    assert kept.refused == {"b": "it is kept on request"}
    assert "not left out:\n  b: it is kept on request" in str(kept)
    with pytest.raises(SettingError, match="unknown block 'e'"):
        plan_depth(Written(), torch.randn(2, 4), keep=["e"])


def test_encoder_layers_lose_attention_and_feed_forward() -> None:
    network = NETWORKS[3]
    model, x = network.model(), network.task().example()
    found = plan_depth(model, x, ratio=1.0)
    assert [block.name for block in found.blocks] == ["encoder.self_attn", "encoder.linear2"]
    small = found.apply(model).eval()
    layer = model.encoder.eval()
    with torch.no_grad():  # and on PyTorch's fused path, which a plan turns off
        expected = model.head(layer.norm2(layer.norm1(x[0]) + layer.linear2.bias * 0).mean(dim=1))
        torch.testing.assert_close(small(*x), expected)


def test_plans_are_saved_and_networks_too(tmp_path: Path) -> None:
    network = named("resnet20", depth=14)
    found = plan_depth(network, IMAGES)
    again = DepthPlan.load(found.save(tmp_path / "plan.json"))
    assert again == found
    small = again.apply(network)
    smaller = plan(small, IMAGES, ratio=0.5).apply(small)  # units go after blocks
    for one in (small, smaller):
        gossamer.deploy.save(tmp_path / "small", one)
        loaded = gossamer.load(tmp_path / "small", model=named("resnet20", depth=14))
        torch.testing.assert_close(loaded(IMAGES), one.eval()(IMAGES))
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(FileError, match="is not a plan"):
        DepthPlan.load(tmp_path / "plan.json")


def convolution(inputs: int, outputs: int, size: int, **options: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, **options)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (nn.Linear(16, 12), nn.Linear(12, 3)),
        (nn.Linear(16, 12, bias=False), nn.Linear(12, 3, bias=False)),
        (convolution(3, 8, 1), convolution(8, 4, 3, stride=2)),
        (nn.Conv2d(3, 8, 1, bias=False), convolution(8, 4, 3, padding=1)),
        (convolution(3, 8, 3, padding=1, stride=2), convolution(8, 2, 1)),
        (nn.Conv1d(16, 8, 3), nn.Conv1d(8, 4, 1, bias=False)),
    ],
    ids=str,
)
def test_a_merged_layer_is_both(first: nn.Module, second: nn.Module) -> None:
    network = nn.Sequential(first, nn.Dropout(0.5), second).eval()
    x = torch.randn(2, 3, 9, 9) if isinstance(first, nn.Conv2d) else torch.randn(2, 16, 16)
    merges, refused = mergeable(network, x)
    assert (merges, refused) == ((MergeLayers(first="0", second="2"),), {})
    small = edit_(copy.deepcopy(network), merges)
    assert isinstance(small[2], Merged)
    torch.testing.assert_close(small(x), network(x), rtol=1e-4, atol=1e-5)
    record = changes.found(small)
    again = changes.apply([changes.Change.from_json(one.to_json()) for one in record], copy.deepcopy(network))
    assert [tuple(p.shape) for p in again.parameters()] == [tuple(p.shape) for p in small.parameters()]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (nn.Sequential(convolution(3, 8, 1), convolution(8, 4, 3, padding=1)), "does not reach the padding"),
        (nn.Sequential(convolution(3, 8, 3), convolution(8, 4, 3)), "neither has a kernel of one place"),
        (nn.Sequential(convolution(3, 8, 1), convolution(8, 8, 3, groups=2)), "a convolution has groups"),
        (nn.Sequential(nn.Linear(9, 2), nn.Linear(2, 9)), "would have 90 parameters, the two have 47"),
    ],
    ids=["padding", "kernels", "groups", "larger"],
)
def test_layers_that_do_not_merge_say_why(network: nn.Sequential, reason: str) -> None:
    merges, refused = mergeable(network, torch.randn(2, 3, 9, 9))
    assert merges == ()
    assert reason in refused["1"]


def test_what_is_read_elsewhere_does_not_merge() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.a(x)
            return self.b(y) + y[:, :2]

    assert mergeable(Twice(), torch.randn(2, 8)) == ((), {"b": "what a computes is read elsewhere too"})


def test_activations_between_layers_that_would_merge() -> None:
    network = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2), nn.Tanh())
    found = plan_depth(network, torch.randn(4, 8), ratio=1.0, what="activations")
    assert [block.name for block in found.blocks] == ["1"]
    assert found.refused == {"3": "it does not stand between two linear operators alone"}
    small = found.apply(network)
    assert isinstance(small[1], LeftOut)
    assert mergeable(small, torch.randn(4, 8))[0] == (MergeLayers(first="0", second="2"),)
