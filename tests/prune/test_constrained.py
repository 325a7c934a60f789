"""Training under penalties: what it does to weights, and that any pruning can follow."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import gossamer
from gossamer.errors import SettingError
from gossamer.prune import (
    L1,
    Conditioning,
    Constrained,
    DropAndGrow,
    Global,
    HardMasks,
    LearnedScores,
    NMPattern,
    Splitting,
    TransformedL1,
)
from gossamer.prune.constrained import _between, _examples
from gossamer.prune.weights import prunable_weights
from gossamer.train import Adam
from tests.battery.networks import NETWORKS
from tests.prune.toy import Regression, epoch_of, network, sgd, sparsity, train

FREE = Constrained(sparse=None, condition=None, gates=None, average=0.0)


def test_without_any_constraint_it_is_the_pruning_alone() -> None:
    networks = []
    alone = LearnedScores(sparsity=0.8, pretrain=0.5, search=0.25)
    for method in (
        alone,
        FREE.replace(sparsity=0.8, constrain=0.5, pruning=LearnedScores(pretrain=0.0, search=0.5)),
    ):
        torch.manual_seed(0)
        networks.append(train(method.start(network(), Regression(), epochs=8), Regression()))
    for left, right in zip(*(model.parameters() for model in networks), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize(
    "pruning",
    [HardMasks(), HardMasks(allocation=Global()), Splitting(), DropAndGrow(every=2), LearnedScores(pretrain=0.0)],
    ids=lambda method: method.name,
)
def test_any_method_may_prune(pruning: HardMasks) -> None:
    task = Regression()
    run = Constrained(sparsity=0.75, constrain=0.5, pruning=pruning).start(network(), task, epochs=8)
    assert run.target_nonzeros() is None
    model = train(run, task)
    assert run.settled
    assert run.target_nonzeros() is not None
    assert sparsity(model) == pytest.approx(0.75, abs=0.02)
    json.dumps(run.report(), allow_nan=False)
    assert set(run.report()) >= {"before", "after"}


def test_what_is_pruned_is_the_mean_of_the_weights() -> None:
    task, model = Regression(), network()
    method = FREE.replace(sparsity=0.0, constrain=1.0, average=0.8)
    run, optimizer = method.start(model, task, epochs=2), sgd(model)
    mean: dict[str, torch.Tensor] = {}
    for epoch in range(2):
        for batch in task.batches("train", epoch=epoch):
            optimizer.zero_grad()
            task.loss(model, batch).backward()
            run.after_backward()
            optimizer.step()
            for name, parameter in model.named_parameters():
                value = parameter.detach().clone()
                mean[name] = 0.8 * mean[name] + 0.2 * value if name in mean else value
            run.after_step(optimizer)
        run.after_epoch(epoch)
    for name, value in run.finish().named_parameters():
        torch.testing.assert_close(value.detach(), mean[name])


def test_the_condition_is_kept_through_pruning() -> None:
    found = {}
    for name, condition in (("free", None), ("held", Conditioning(strength=1.0))):
        task = Regression()
        method = FREE.replace(sparsity=0.6, condition=condition)
        run = method.start(network(), task, epochs=24)
        train(run, task)
        found[name] = run.report()
    for moment in ("before", "after"):
        assert found["held"][moment]["median_condition"] < 0.7 * found["free"][moment]["median_condition"]
    without = FREE.replace(sparsity=0.6, condition=Conditioning(), after=False).start(network(), Regression(), epochs=2)
    epoch_of(without, Regression(), sgd(without.model), 0)
    assert without.penalty() is None


def test_the_sparse_penalty_shuts_gates() -> None:
    task, rows = Regression(), {}
    for strength in (0.0, 1.0):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
        method = Constrained(
            sparsity=0.0,
            sparse=TransformedL1(strength=strength, price=1.0),
            condition=None,
            gates_by=Adam(learning_rate=0.1, weight_decay=0.0),
            average=0.0,
            constrain=1.0,
        )
        train(method.start(model, task, epochs=20), task)
        rows[strength] = int((model[2].weight != 0).any(1).sum())
        assert bool((model[0].weight != 0).any(1).all())  # the first and the last layer have no gates
        assert bool((model[4].weight != 0).any(1).all())
    assert rows[1.0] < rows[0.0]


def test_gates_lie_between_the_first_layer_and_the_answers() -> None:
    for network_, expected in zip(NETWORKS[:3], ([], ["3.weight"], []), strict=True):
        model, task = network_.model(), network_.task()
        assert [weight.name for weight in _between(model, task, prunable_weights(model))] == expected


def test_counts_training_examples() -> None:
    images, graph = NETWORKS[0].task(), NETWORKS[2].task()
    assert _examples(images) == sum(len(y) for _, y in images.batches("train"))
    assert _examples(graph) == 120


def test_ends_early_and_starts_late() -> None:
    run = Constrained(sparsity=0.5, constrain=0.8).start(network(), Regression(), epochs=10)
    epoch_of(run, Regression(), sgd(run.model), 0)
    assert sparsity(run.finish()) == 0.5
    late = Constrained(sparsity=0.5, constrain=0.0).start(network(), Regression(), epochs=4)
    assert late.report()["before"]["layers"][0]["name"] == "0.weight"
    assert sparsity(train(late, Regression())) == 0.5


def test_the_named_method_has_both_constraints() -> None:
    method = gossamer.method("tscnc")
    assert method == Constrained()
    assert (method.sparse, method.condition) == (TransformedL1(), Conditioning())
    assert (method.gates.shut, method.average) == (0.3, 0.99)
    changed = gossamer.method(
        "tscnc", pruning="hard-masks", sparse="l1", condition={"name": "conditioning", "on": "last"}
    )
    assert (changed.pruning, changed.sparse) == (HardMasks(), L1())


def test_refuses_a_pruning_without_a_sparsity() -> None:
    with pytest.raises(SettingError, match="has no sparsity"):
        Constrained(pruning=NMPattern())
