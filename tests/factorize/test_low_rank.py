"""Factorisation in training: what becomes of which layer, when, after a kill, and in every other tool."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gossamer
from gossamer.compression import Method, compress
from gossamer.cost import Budget
from gossamer.deploy import accelerate, changes, export
from gossamer.deploy.changes import FactorizeLayer, FoldNorm
from gossamer.errors import ModelError, SettingError
from gossamer.factorize import CP, SVD, VBMF, Energy, LeastError, LowRank, NuclearNorm, Rank, TailEnergy, Uniform
from gossamer.models import build
from gossamer.nn import Factorized
from gossamer.prune.weights import prunable_weights
from gossamer.train import SGD, Training
from tests.battery.networks import NETWORKS
from tests.prune.toy import Regression, epoch_of, network, sgd, train

NETWORK = {one.name: one for one in NETWORKS}
PLAIN = LowRank(linear=SVD(), convolution=SVD())
QUICK: dict[str, Any] = {"latency": False, "accelerate": False, "progress": False}


def shrink(name: str, method: Method | list[Method], epochs: int = 2, **options: Any) -> gossamer.Compressed:
    torch.manual_seed(0)
    training = Training(epochs=epochs, patience=None)
    return compress(NETWORK[name].model(), NETWORK[name].task(), method, **({"training": training} | QUICK | options))


def chains(model: nn.Module) -> dict[str, Factorized]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Factorized)}


def test_the_optimizer_steps_the_factors_and_keeps_what_it_knows_of_the_rest() -> None:
    """Against the same training by hand: dense, cut, then an optimiser that goes on for the biases."""
    task = Regression()
    run = PLAIN.replace(sparsity=0.3, at=0.5, exclude=("2",)).start(network(), task, epochs=2)
    optimizer = sgd(run.model)
    epoch_of(run, task, optimizer, 0)
    chain = run.model[0]
    assert isinstance(chain, Factorized)
    assert run.settled
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(p) for p in run.model.parameters()]
    momentum = optimizer.state[chain.bias]["momentum_buffer"]
    assert momentum.abs().sum() > 0
    before = copy.deepcopy(run.model)
    epoch_of(run, task, optimizer, 1)

    again = torch.optim.SGD(before.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    fresh = PLAIN.replace(sparsity=0.3, at=0.5, exclude=("2",)).start(network(), task, epochs=2)
    known = sgd(fresh.model)
    epoch_of(fresh, task, known, 0)
    names = {name: known.state.get(value, {}).get("momentum_buffer") for name, value in fresh.model.named_parameters()}
    for name, value in before.named_parameters():
        if names[name] is not None:
            again.state[value] = {"momentum_buffer": names[name].clone()}
    for batch in task.batches("train", epoch=1):
        again.zero_grad()
        task.loss(before, batch).backward()
        again.step()
    for one, expected in zip(run.model.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(one, expected)


def test_weights_are_cut_when_it_is_time() -> None:
    task, model = Regression(), network()
    dense = copy.deepcopy(model.state_dict())
    run = PLAIN.replace(sparsity=0.3, at=1.0).start(model, task, epochs=1)
    assert not run.settled
    assert not chains(run.model)
    train(run, task)
    assert chains(run.model)
    assert not torch.equal(run.model[0].bias, dense["0.bias"])  # trained before the cut
    at_once = PLAIN.replace(sparsity=0.3, at=0.0).start(network(), task, epochs=1)
    assert at_once.settled
    assert chains(at_once.model)
    assert not any("optimiser" in note for note in run.notes())
    blind = PLAIN.replace(sparsity=0.3, at=0.3).start(network(), task, epochs=1)
    blind.after_step()
    assert "does not train the factors" in blind.notes()[-1]
    never = PLAIN.replace(sparsity=0.3).start(network(), task, epochs=3)
    assert chains(never.finish())  # training ended early


def test_the_cut_alone_is_what_the_decomposition_gives() -> None:
    model = network()
    small = PLAIN.replace(sparsity=0.4, ceiling=Rank(most=3), layers=("0",)).start(model, Regression(), epochs=0)
    weight = network()[0].weight.detach()
    torch.testing.assert_close(
        small.finish()[0].weight.detach(), SVD().factorize(network()[0], 3).weight.detach(), rtol=1e-5, atol=1e-6
    )
    assert small.report()["layers"][0]["error"] == pytest.approx(
        float(torch.linalg.svdvals(weight)[3:].square().sum() / weight.square().sum()), rel=1e-4
    )


def test_a_step_costs_its_share_of_the_arithmetic() -> None:
    task = Regression()
    run = PLAIN.replace(sparsity=0.5, at=0.5).start(network(), task, epochs=2)
    assert run.training_cost() == 3.0
    epoch_of(run, task, sgd(run.model), 0)
    left = sum(weight.weight.numel() for weight in prunable_weights(run.model))
    assert run.training_cost() == pytest.approx(3.0 * left / 320)
    aware = gossamer.method("svd-data-aware").start(network(), task, epochs=2)
    epoch_of(aware, task, sgd(aware.model), 0)
    assert aware.training_cost() == pytest.approx(
        3.0 * sum(p.numel() for n, p in aware.model.named_parameters() if "weight" in n) / 320 + 3
    )  # three batches an epoch were looked at


def test_training_is_counted_from_the_dense_network_also_if_it_is_cut_at_once() -> None:
    result = shrink("mlp", PLAIN.replace(at=0.0), epochs=1)
    macs = sum(weight.weight.numel() for weight in prunable_weights(result.model))
    task = NETWORK["mlp"].task()
    assert result.cost.training_macs == pytest.approx(3 * macs * 4 * task.steps() * task.examples_per_step())


def test_sparsity_is_of_all_prunable_weights_and_what_stays_is_named() -> None:
    result = shrink("transformer", PLAIN.replace(sparsity=0.2))
    assert result.report["removed"] == pytest.approx(0.2, abs=0.02)
    text = " ".join(result.notes)
    assert "encoder.self_attn.in_proj_weight (attention's projections" in text
    assert "encoder.self_attn.out_proj.weight (the module around it reads" in text
    far = shrink("transformer", PLAIN.replace(sparsity=0.9))
    assert any("remove 48.0% of the prunable weights, less than the 90.0%" in note for note in far.notes)
    assert all(chain.ranks == (1,) for chain in chains(far.model).values())


def test_layers_that_cannot_be_replaced_stay_and_say_why() -> None:
    class Own(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).relu()

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own, self.tied = Own(12, 12), nn.Linear(12, 12)
            self.other = nn.Linear(12, 12)
            self.other.weight = self.tied.weight
            self.hooked, self.small = nn.Linear(12, 12), nn.Linear(12, 1)
            self.hooked.register_forward_hook(lambda *_: None)
            self.bare, self.free = nn.Linear(12, 12), nn.Linear(12, 4)
            self.slow = nn.utils.parametrizations.orthogonal(nn.Linear(12, 12))
            self.grouped = nn.Conv1d(12, 12, 1, groups=2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.slow(self.hooked(self.other(self.tied(self.own(x)))))
            x = nn.functional.linear(x, self.bare.weight)
            return self.free(self.grouped(x[..., None])[..., 0]) * self.small(x)

    run = PLAIN.start(Net(), Regression(), epochs=0)
    text = run.notes()[0]
    assert set(chains(run.finish())) == {"free"}
    for part in (
        "own.weight (a Own computes something of its own)",
        "tied.weight (it shares",
        "hooked.weight (it has hooks",
        "bare.weight (the module around it reads",
        "small.weight (no rank would save anything)",
        "grouped.weight (it has groups",
    ):
        assert part in text
    assert "slow" not in text or "parametrised" in text


def test_a_network_without_such_a_layer_is_refused() -> None:
    with pytest.raises(ModelError, match="it is the whole network"):
        PLAIN.start(nn.Linear(12, 4), Regression(), epochs=0)


def test_forms_fall_back_where_they_do_not_serve() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line, self.point = nn.Conv1d(1, 8, 3, padding=1), nn.Conv1d(8, 8, 1)
            self.head = nn.Linear(96, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.point(self.line(x[:, None])).flatten(1))

    spatial = gossamer.method("spatial", sparsity=0.6, allocation=Uniform())
    report = spatial.start(Net(), Regression(), epochs=0).report()
    assert {record["form"] for record in report["layers"]} <= {"matrix", None}
    cp = gossamer.method("cp", sparsity=0.4, allocation=Uniform(), layers=("point", "head"))
    forms = {r["layer"]: r["form"] for r in cp.start(Net(), Regression(), epochs=0).report()["layers"]}
    assert forms == {"point": "matrix", "head": "matrix"}


def test_a_ceiling_alone_sets_ranks() -> None:
    task = Regression()
    run = PLAIN.replace(sparsity=0.0, ceiling=Energy(keep=0.7)).start(network(), task, epochs=0)
    for record in run.report()["layers"]:
        assert record["error"] <= 0.3
        values = torch.linalg.svdvals(network()[int(record["layer"])].weight).square()
        kept = int((values.cumsum(0) < 0.7 * values.sum()).sum()) + 1
        assert record["ranks"] in ([kept], [])
    nothing = PLAIN.replace(sparsity=0.0).start(network(), task, epochs=0)
    assert not chains(nothing.finish())
    assert "the sparsity is reached without" in nothing.notes()[0]
    noise = PLAIN.replace(sparsity=0.0, ceiling=VBMF()).start(network(), task, epochs=0)
    assert chains(noise.finish())["0"].ranks == (1,)


@pytest.mark.parametrize("penalty", [NuclearNorm(strength=0.3), TailEnergy(strength=3.0)])
def test_penalties_pull_towards_low_rank_until_the_cut(penalty: Any) -> None:
    task = Regression()

    def lost(chosen: LowRank) -> float:
        run = chosen.start(network(), task, epochs=8)
        train(run, task)
        return sum(record["error"] for record in run.report()["layers"])

    plain = PLAIN.replace(at=1.0, allocation=Uniform())
    assert lost(plain.replace(penalty=penalty)) < 0.7 * lost(plain)
    run = plain.replace(penalty=penalty).start(network(), task, epochs=1)
    values = torch.linalg.svdvals(run.model[0].weight.detach()), torch.linalg.svdvals(run.model[2].weight.detach())
    if isinstance(penalty, NuclearNorm):
        expected = 0.3 * float(sum(one.sum() for one in values))
    else:  # at half the weights: rank 3 of 20 x 12, and 1 of 4 x 20
        parts = [one[rank:].square().sum() / one.square().sum() for one, rank in zip(values, (3, 1), strict=True)]
        expected = 3.0 * float(sum(parts))
    assert float(run.penalty().detach()) == pytest.approx(expected, rel=1e-5)
    run.finish()
    assert run.penalty() is None


def test_the_best_epoch_and_a_kill_bring_back_the_chain(tmp_path: Path) -> None:
    one = NETWORK["cnn"]
    chosen = gossamer.method("tucker", sparsity=0.6, at=0.4)
    training = Training(epochs=5, optimizer=SGD(learning_rate=0.05), patience=None, checkpoint_minutes=0.0)
    straight = shrink("cnn", chosen, training=training)

    class Killed(Exception):  # noqa: N818  a kill is not an error
        pass

    for stop in (3, 6, 9):  # before the cut, after it, at the end
        task, steps = one.task(), 0
        plain = task.loss

        def loss(model: nn.Module, batch: Any, plain: Any = plain, stop: int = stop) -> Tensor:
            nonlocal steps
            steps += 1
            if steps > stop:
                raise Killed
            return plain(model, batch)

        task.loss = loss  # type: ignore[method-assign]
        torch.manual_seed(0)
        with pytest.raises(Killed):
            compress(one.model(), task, chosen, training=training, checkpoint=tmp_path / str(stop), **QUICK)
        resumed = shrink("cnn", chosen, training=training, checkpoint=tmp_path / str(stop))
        assert resumed.report == straight.report
        for key, value in straight.model.state_dict().items():
            assert torch.equal(value, resumed.model.state_dict()[key]), key


def test_a_file_of_the_zoo_needs_no_model(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build("gcn", in_features=32, hidden=32, out_features=3)
    task = NETWORK["gcn"].task()
    result = compress(model, task, PLAIN, training=Training(epochs=1), **QUICK)
    again = gossamer.load(result.save(tmp_path / "gcn.gossamer"))
    assert changes.found(again) == changes.found(result.model) != ()
    result.model.eval()
    with torch.no_grad():
        assert torch.equal(again(*task.example()), result.model(*task.example()))
    size = (tmp_path / "gcn.gossamer").stat().st_size
    assert size < result.cost.bytes + 2000
    assert result.cost.bytes < 0.6 * result.cost_before.bytes
    for change in changes.found(result.model):
        assert changes.Change.from_json(json.loads(json.dumps(change.to_json()))) == change


def test_normalisations_fold_into_the_last_layer_of_a_chain_and_come_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(4, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(576, 4)
    )
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2.0)
    untouched = copy.deepcopy(model)
    small = changes.apply([FactorizeLayer(layer="0", form="tucker", ranks=(3, 5))], model).eval()
    for parameter in small[0].parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 4, 6, 6)
    from gossamer.deploy.accelerate import _layers, _shared
    from gossamer.deploy.folding import folds

    with torch.no_grad():
        found = folds(small, _layers(small), (x,), _shared(small))
        assert found == (FoldNorm(layer="0.2", norm="1"),)
        fast = changes.apply(found, copy.deepcopy(small))
        torch.testing.assert_close(fast(x), small(x), rtol=1e-4, atol=1e-4)
        again = gossamer.load(gossamer.save(tmp_path / "fast", fast), model=untouched)
        assert torch.equal(again(x), fast(x))


def test_pruned_factors_get_sparse_kernels_and_come_back(tmp_path: Path) -> None:
    result = shrink("mlp", [PLAIN.replace(sparsity=0.4), gossamer.method("magnitude", sparsity=0.9)], epochs=1)
    assert chains(result.model)
    factors = [weight.weight for weight in prunable_weights(result.model)]
    assert sum(int(one.count_nonzero()) for one in factors) <= 0.11 * sum(one.numel() for one in factors)
    example = NETWORK["mlp"].task().example()
    packed = changes.apply(
        [changes.SwapLayer(layer=f"1.{place}", kernel="csr") for place in (0, 1)], copy.deepcopy(result.model)
    ).eval()
    assert [type(one).__name__ for one in changes.found(packed)] == ["FactorizeLayer", "SwapLayer", "SwapLayer"]
    again = gossamer.load(gossamer.save(tmp_path / "packed", packed), model=NETWORK["mlp"].model())
    result.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(again(*example), result.model(*example), rtol=1e-4, atol=1e-5)
        fast = accelerate(result.model, example)
        torch.testing.assert_close(fast.model(*example), result.model(*example), rtol=1e-4, atol=1e-5)
    assert {choice.layer for choice in fast.choices} == {"1.0", "1.1", "4"}


def test_pruning_first_leaves_the_cut_less_to_lose() -> None:
    """Zeroed rows are ranks that cost nothing: what filters removed, the factorisation gets for free."""
    methods = [gossamer.method("magnitude-filters", sparsity=0.5), PLAIN.replace(sparsity=0.5, at=0.0)]
    both = shrink("mlp", methods, epochs=2)
    alone = shrink("mlp", [gossamer.method("dense"), methods[1]], epochs=2)
    assert chains(both.model)
    error = {r["layer"]: r["error"] for r in both.report["layers"]}
    assert error["1"] < {r["layer"]: r["error"] for r in alone.report["layers"]}["1"]


def test_factorising_twice_takes_chains_apart_further(tmp_path: Path) -> None:
    result = shrink("mlp", [PLAIN.replace(sparsity=0.3), PLAIN.replace(sparsity=0.3)], epochs=1)
    nested = [change for change in changes.found(result.model) if change.layer.count(".")]
    assert nested
    again = gossamer.load(result.save(tmp_path / "twice"), model=NETWORK["mlp"].model())
    for key, value in result.model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


@pytest.mark.parametrize(("network", "method", "suffix"), [("cnn", "cp", "onnx"), ("gcn", "svd", "pt2")])
def test_chains_are_exported(network: str, method: str, suffix: str, tmp_path: Path) -> None:
    result = shrink(network, gossamer.method(method, sparsity=0.6), epochs=1)
    done = export(result.model, NETWORK[network].task().example(), tmp_path / f"net.{suffix}")
    assert done.max_error is not None
    assert done.max_error <= 1e-4


@pytest.mark.parametrize("bound", ["bytes<=3k", "macs<=40k"])
def test_budgets_are_searched_for(bound: str) -> None:
    result = shrink("cnn" if "macs" in bound else "gcn", PLAIN, budget=Budget.parse(bound), epochs=1)
    assert result.met_budget
    assert chains(result.model)
    assert Budget.parse(bound).met_by(result.cost)


@pytest.mark.parametrize("kind", ["GCNConv", "SAGEConv", "GATConv", "GINConv", "TransformerConv"])
def test_layers_of_pyg_are_factorised_inside(kind: str, tmp_path: Path) -> None:
    from torch_geometric import nn as pyg

    from gossamer import Graph
    from gossamer.graph import csbm
    from gossamer.tasks import NodeClassification

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            make = getattr(pyg, kind)
            inner = nn.Sequential(nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 24))
            self.first = make(inner) if kind == "GINConv" else make(32, 24)
            self.last = pyg.GCNConv(24, 3)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.last(self.first(x, edge_index).relu(), edge_index)

    torch.manual_seed(0)
    graph: Graph = csbm(60, 3, 32, seed=0)
    task = NodeClassification.from_graph(graph, per_class=5, val_per_class=5, edge_index=True)
    result = compress(Net(), task, PLAIN, training=Training(epochs=2, patience=None), **QUICK)
    found = chains(result.model)
    assert any(name.startswith("first.") for name in found)
    assert result.report["removed"] >= 0.5
    result.model.eval()
    with torch.no_grad():
        expected = result.model(*task.example())
        fast = accelerate(result.model, task.example())
        torch.testing.assert_close(fast.model(*task.example()), expected, rtol=1e-4, atol=1e-5)
        again = gossamer.load(result.save(tmp_path / "pyg"), model=Net())
        assert torch.equal(again(*task.example()), expected)


def test_settings_are_read_from_names_and_checked() -> None:
    chosen = gossamer.method("tucker", sparsity=0.8, ceiling="vbmf", allocation="uniform", penalty="nuclear-norm")
    assert isinstance(chosen, LowRank)
    assert (chosen.ceiling, chosen.allocation, chosen.penalty) == (VBMF(), Uniform(), NuclearNorm())
    assert Method.from_json(json.loads(json.dumps(chosen.to_json()))) == chosen
    with pytest.raises(SettingError, match="did you mean 'energy'"):
        gossamer.method("svd", ceiling="enrgy")
    with pytest.raises(SettingError, match="per"):
        LeastError(per="byte")
    with pytest.raises(SettingError, match="iterations"):
        CP(iterations=0)
    assert gossamer.method("svd", allocation=LeastError(per="mac")).start(network(), Regression(), epochs=0).settled
