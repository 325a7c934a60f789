"""Plans: what they promise, how they are chosen, saved and shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import gossamer
from gossamer.errors import FileError, ModelError, SettingError
from gossamer.structure import AllTogether, Group, GroupMagnitude, GroupTaylor, Plan, plan
from gossamer.structure.allocation import width
from gossamer.structure.axes import Axis
from gossamer.structure.twin import difference, outputs
from tests.structure.observing import scored


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))


def test_the_smallest_units_go_by_the_mean_over_members() -> None:
    network = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0], [2.0], [0.0]]))
        network[0].bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
        network[1].weight.copy_(torch.tensor([[3.0, 0.5, 1.0]]))
    (score,) = scored(GroupMagnitude(), network, torch.zeros(1, 1)).values()
    torch.testing.assert_close(score, torch.tensor([10.0, 4.25, 2.0], dtype=torch.float64) / 3)
    found = plan(network, torch.zeros(1, 1), ratio=0.34)
    assert [(one.name, one.keep) for one in found.groups] == [("0.weight:0", "0-1")]


def test_taylor_is_the_change_of_the_loss_to_first_order() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).double()
    x = torch.randn(5, 2, dtype=torch.float64)
    loss = network(x).square().mean()
    (score,) = scored(GroupTaylor(power=1), network, x, losses=lambda net: [net(x).square().mean()]).values()
    step = 1e-6
    for unit in range(3):
        with torch.no_grad():
            for tensor in (network[0].weight[unit], network[0].bias[unit], network[1].weight[:, unit]):
                tensor.mul_(1 - step)
            change = (network(x).square().mean() - loss) / step
            for tensor in (network[0].weight[unit], network[0].bias[unit], network[1].weight[:, unit]):
                tensor.div_(1 - step)
        assert float(score[unit]) == pytest.approx(abs(float(change)), rel=1e-4)


def test_a_score_with_gradients_needs_losses() -> None:
    x = torch.randn(4, 3)
    with pytest.raises(SettingError, match="needs gradients; pass losses="):
        plan(perceptron(), x, score=GroupTaylor())

    def losses(model: nn.Module) -> list[Tensor]:
        return [model(x).square().mean()]

    assert len(plan(perceptron(), x, score=GroupTaylor(), losses=losses).groups) == 2


def test_global_allocation_removes_from_where_it_costs_least() -> None:
    network = perceptron()
    with torch.no_grad():
        network[0].weight[:6].mul_(1e-3)
        network[0].bias[:6].mul_(1e-3)
        network[2].weight[:, :6].mul_(1e-3)
    found = plan(network, torch.zeros(1, 3), ratio=6 / 14, allocation=AllTogether())
    assert [(group.name, group.keep) for group in found.groups] == [("0.weight:0", "6-7")]


@pytest.mark.parametrize(
    ("size", "wanted", "multiple", "expected"), [(8, 4.0, 1, 4), (8, 0.2, 1, 1), (20, 9.0, 8, 16), (6, 3.0, 8, 6)]
)
def test_widths_are_rounded(size: int, wanted: float, multiple: int, expected: int) -> None:
    assert width(size, wanted, multiple) == expected


def test_widths_of_a_plan_are_multiples_where_asked() -> None:
    found = plan(perceptron(), torch.zeros(1, 3), ratio=0.6, multiple_of=4)
    assert {group.name: group.kept for group in found.groups} == {"0.weight:0": 4, "2.weight:0": 4}


def test_what_is_kept_on_request_stays_and_is_named() -> None:
    found = plan(perceptron(), torch.zeros(1, 3), keep=["0.weight"])
    assert [group.name for group in found.groups] == ["2.weight:0"]
    assert found.refused["0.weight:0"] == "it is kept on request (0.weight)"
    with pytest.raises(SettingError, match="matches no parameter or module"):
        plan(perceptron(), torch.zeros(1, 3), keep=["encoder.*"])
    with pytest.raises(ModelError, match="kept on request"):
        plan(perceptron(), torch.zeros(1, 3), keep=["*"])


@pytest.mark.parametrize("ratio", [-0.1, 1.0])
def test_ratios_out_of_range_are_refused(ratio: float) -> None:
    with pytest.raises(SettingError, match="expected a fraction to remove"):
        gossamer.plan(perceptron(), torch.zeros(1, 3), ratio=ratio)


def test_costs_are_those_of_the_smaller_network() -> None:
    network = perceptron()
    found = plan(network, torch.zeros(1, 3))
    small = found.apply(network)
    assert found.cost.parameters == sum(parameter.numel() for parameter in small.parameters())
    assert found.cost.macs == 3 * 4 + 4 * 3 + 3 * 2
    assert found.cost_before.macs == 3 * 8 + 8 * 6 + 6 * 2


def test_a_plan_goes_to_a_file_and_back(tmp_path: Path) -> None:
    network, x = perceptron(), torch.randn(4, 3)
    found = plan(network, x)
    again = Plan.load(found.save(tmp_path / "plan.json"))
    assert again == found
    assert difference(outputs(again.apply(network), (x,), {}), outputs(found.apply(network), (x,), {})) == 0
    (tmp_path / "other.json").write_text('{"format": 1}')
    for path in (tmp_path / "other.json", tmp_path / "missing.json"):
        with pytest.raises(FileError, match=str(path)):
            Plan.load(path)


def test_a_plan_for_another_network_is_refused_and_changes_nothing() -> None:
    found = plan(perceptron(), torch.zeros(1, 3))
    other = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 2))
    with pytest.raises(ModelError, match="not the one that the removal was planned for"):
        found.apply_(other)
    assert other[0].weight.shape == (8, 3)


def test_shows_itself_as_a_table_and_a_picture() -> None:
    found = plan(perceptron(), torch.zeros(1, 3))
    text = str(found)
    assert "0.weight:0       8 →      4" in text
    assert "it belongs to an output of the network" in text
    picture = ET.fromstring(found.svg())
    texts = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert texts == ["0.weight:0", "4 of 8", "2.weight:0", "3 of 6"]


def test_a_group_that_fails_the_check_is_put_back_and_named() -> None:
    class Counting(nn.Module):
        """Adds what depends on the width in a way that no operator shows."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 8), nn.Linear(8, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            first = self.a(x)
            return self.c(self.b(first.relu()).relu()) + first.stride()[0]

    found = plan(Counting(), torch.randn(4, 3))
    assert [group.name for group in found.groups] == ["b.weight:0"]
    assert found.refused["a.weight:0"].startswith("the smaller network differs from the masked one")


def test_differences_of_neighbours_along_a_long_input_are_traced() -> None:
    class Gaps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(1, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x.diff()[:, None]).relu())

    assert [group.kept for group in plan(Gaps(), torch.randn(3000)).groups] == [4]


def test_parameters_that_the_run_does_not_use_are_named() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.aside = nn.Linear(3, 8), nn.Linear(8, 2), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x).relu()
            return self.b(x) + self.aside(x) if self.training else self.b(x)

    found = plan(Auxiliary(), torch.randn(4, 3))
    assert found.unused == ("aside.weight", "aside.bias")
    assert "not used in this run, and left as they are: aside.weight, aside.bias" in str(found)


@pytest.mark.parametrize(("relative_to", "kept"), [("mean", [2, 1]), ("max", [1, 2])])
def test_groups_are_ranked_together_by_their_mean_or_largest(relative_to: str, kept: list[int]) -> None:
    found = [Group(name, size, (), "", Axis(size)) for name, size in (("a", 3), ("b", 2))]
    scores = [torch.tensor([1.0, 2.0, 9.0]), torch.tensor([1.0, 4.0])]  # over means 0.25 0.5 2.25, 0.4 1.6
    masks = AllTogether(relative_to=relative_to).keep(dict(zip(found, scores, strict=True)), 0.4, 1)
    assert [int(masks[group].sum()) for group in found] == kept
