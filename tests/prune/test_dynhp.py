"""Dynamic hard pruning: gates against explicit gates, what goes when, and batches that grow into the memory left."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import gossamer
from gossamer.compression import compress
from gossamer.errors import ModelError
from gossamer.prune.batch_sizing import BatchSizing
from gossamer.prune.contributions import Activity, Contribution, SoftGate, WeightProduct, activities
from gossamer.prune.dynhp import DynamicHardPruning
from gossamer.prune.schedules import Cubic
from gossamer.prune.soft_gates import SoftGates
from gossamer.structure import groups, trace
from gossamer.tasks import ImageClassification, Images
from gossamer.train import SGD, Training

TRAINING = Training(epochs=6, keep_best=False, optimizer=SGD(learning_rate=0.02))


def task(count: int = 96) -> ImageClassification:
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 4
    x = torch.randn(count, 1, 6, 6, generator=draw)
    x[torch.arange(count), 0, y, y] += 3.0
    return ImageClassification(Images(x, y, x, y, 4), batch_size=8)


def perceptron() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 40), nn.ReLU(), nn.Linear(40, 20), nn.ReLU(), nn.Linear(20, 4))


def shrink(method: DynamicHardPruning, **options: object) -> gossamer.Compressed:
    given = {"training": TRAINING, "latency": False, "accelerate": False, "progress": False} | options
    return compress(perceptron(), task(), method, **given)  # type: ignore[arg-type]


class Gated(nn.Module):
    """A perceptron with gates as parameters of its own."""

    def __init__(self, plain: nn.Sequential) -> None:
        super().__init__()
        self.plain = plain
        self.gates = nn.ParameterList([torch.ones(40), torch.ones(20)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.gates[0] * self.plain[2](self.plain[1](self.plain[0](x)))
        return self.plain[5](self.gates[1] * self.plain[4](self.plain[3](x)))


def test_gates_train_as_if_they_were_in_the_network() -> None:
    model, penalty = perceptron(), 0.02
    gated = Gated(copy.deepcopy(model))
    data = task()
    found = [group for group in groups(trace(model, data.example())) if not group.refused]
    gates = SoftGates(penalty, 0.01, found, dict(model.named_parameters()))
    ours = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)
    theirs = torch.optim.SGD(gated.plain.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)
    adam = torch.optim.Adam(gated.gates.parameters(), lr=0.01)
    for batch in list(data.batches("train")):
        ours.zero_grad()
        data.loss(model, batch).backward()
        gates.open()
        ours.step()
        gates.close()
        theirs.zero_grad()
        adam.zero_grad()
        (data.loss(gated, batch) + penalty * sum(gate.abs().sum() for gate in gated.gates)).backward()
        theirs.step()
        adam.step()
        with torch.no_grad():
            for gate in gated.gates:
                gate.clamp_(min=1e-3)
    for name, gate in zip(("1.weight:0", "3.weight:0"), gated.gates, strict=True):
        torch.testing.assert_close(gates.gates[name].detach(), gate.detach(), rtol=1e-4, atol=1e-5)
        assert float((gate.detach() - 1).abs().max()) > 0.01
    x = data.example()[0]
    torch.testing.assert_close(model(x), gated(x), rtol=1e-4, atol=1e-5)


def test_contributions_by_hand() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]]))
        model[0].bias.copy_(torch.tensor([0.0, 0.0, 2.0]))
        model[2].weight.copy_(torch.tensor([[1.0, 0.0, 6.0], [0.0, 2.0, 8.0]]))
    group = next(group for group in groups(trace(model, (torch.ones(1, 2),))) if not group.refused)
    parameters = dict(model.named_parameters())
    product = WeightProduct().of(group, parameters, None, None)
    torch.testing.assert_close(product, torch.tensor([5.0 * 1, 1.0 * 2, 2.0 * 10]))
    held = torch.tensor([0.5, 0.0, 2.0])
    torch.testing.assert_close(Activity().of(group, parameters, None, held), torch.tensor([0.5, 0.0, 20.0]))
    gate = torch.tensor([0.5, 0.1, 1.0])
    assert torch.equal(SoftGate().of(group, parameters, gate, None), gate)


def test_what_units_hold_is_seen_at_the_layers_that_use_it() -> None:
    model, data = perceptron(), task()
    found = [group for group in groups(trace(model, data.example())) if not group.refused]
    seen = activities(model, data, found, batches=2)
    first, second = list(data.batches("train"))[:2]
    expected = torch.stack([model[:3](x).abs().mean(0) for x, _ in (first, second)]).mean(0)
    torch.testing.assert_close(seen["1.weight:0"], expected.detach())


@pytest.mark.parametrize("contribution", [SoftGate(), WeightProduct(), Activity()], ids=lambda one: one.name)
def test_units_go_little_by_little_and_the_network_is_really_smaller(contribution: Contribution) -> None:
    result = shrink(DynamicHardPruning(sparsity=0.75, contribution=contribution))
    units = [phase["units"] for phase in result.report["phases"]]
    assert units[0] == 60
    assert units[-1] == 15
    assert all(before >= after for before, after in pairwise(units))
    assert len(units) >= 4
    kept = {record["name"]: record["kept"] for record in result.report["groups"]}
    assert sum(kept.values()) == 15
    assert result.model[1].weight.shape == (kept["1.weight:0"], 36)
    assert result.model[3].weight.shape == (kept["3.weight:0"], kept["1.weight:0"])


def test_a_fraction_of_the_parameters() -> None:
    result = shrink(DynamicHardPruning(sparsity=0.8, of="parameters", contribution=WeightProduct()))
    assert result.cost.parameters <= 0.2 * result.cost_before.parameters
    assert result.cost.parameters > 0.15 * result.cost_before.parameters


def test_a_threshold_leaves_what_contributes_more() -> None:
    whole = shrink(DynamicHardPruning(sparsity=0.9, below=1e-6, contribution=WeightProduct()))
    assert whole.cost.parameters == whole.cost_before.parameters
    some = shrink(DynamicHardPruning(sparsity=0.9, below=0.5, contribution=WeightProduct()))
    cut = shrink(DynamicHardPruning(sparsity=0.9, contribution=WeightProduct()))
    assert cut.cost.parameters <= some.cost.parameters < whole.cost.parameters


def test_units_stay_in_every_layer() -> None:
    result = shrink(DynamicHardPruning(sparsity=0.95, least=4, least_share=0.25, contribution=WeightProduct()))
    assert {record["name"]: record["kept"] for record in result.report["groups"]} == {
        "1.weight:0": 10,
        "3.weight:0": 5,
    }


def test_batches_grow_into_the_memory_that_is_left() -> None:
    fixed = shrink(DynamicHardPruning(sparsity=0.75, batches=None)).report
    grown = shrink(DynamicHardPruning(sparsity=0.75, batches=BatchSizing(largest=64))).report
    assert {phase["batch"] for phase in fixed["phases"]} <= {7, 8}
    batches = [phase["batch"] for phase in grown["phases"]]
    assert batches == sorted(batches)
    assert batches[-1] > 2 * batches[0]
    for phase in grown["phases"]:
        assert phase["by_parts"] <= grown["memory"]["first_by_parts"]
    last = fixed["phases"][-1]
    assert last["by_parts"] < 0.5 * fixed["memory"]["first_by_parts"]
    assert last["measured"] < 0.5 * fixed["memory"]["first_measured"]
    assert sum(phase["steps"] for phase in grown["phases"]) < sum(phase["steps"] for phase in fixed["phases"])


def test_learning_rates_may_grow_with_the_batch() -> None:
    sizing = BatchSizing(rate_cap=2.0)
    assert [sizing.rate_factor(size, 8) for size in (4, 8, 12, 100)] == [1.0, 1.0, 1.5, 2.0]
    assert BatchSizing().rate_factor(100, 8) == 1.0


def test_removal_of_nothing_but_the_penalty_is_plain_training_with_a_penalty() -> None:
    data, method = task(), DynamicHardPruning(sparsity=0.5, penalty=0.1, contribution=WeightProduct())
    run = method.start(perceptron(), data, epochs=3)
    weights = dict(run.model.named_parameters())
    together = [
        torch.cat([weights["1.weight"], weights["1.bias"][:, None], weights["3.weight"].T], 1),
        torch.cat([weights["3.weight"], weights["3.bias"][:, None], weights["5.weight"].T], 1),
    ]
    expected = 0.1 * (37**0.5 * together[0].norm(dim=1).sum() + 41**0.5 * together[1].norm(dim=1).sum())
    torch.testing.assert_close(run.penalty(), expected)


def test_a_schedule_in_epochs() -> None:
    run = DynamicHardPruning(schedule=Cubic(end=0.5, every=0.25)).start(perceptron(), task(), epochs=8)
    assert not run.settled
    result = shrink(DynamicHardPruning(sparsity=0.5, schedule=Cubic(start=0.2, end=0.5, every=0.3)))
    assert [phase["epoch"] for phase in result.report["phases"]] == [0, 3]


def test_a_network_without_units_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing can be removed"):
        DynamicHardPruning().start(nn.Sequential(nn.Flatten(), nn.Linear(36, 4)), task(), epochs=2)
