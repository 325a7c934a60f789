from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import gossamer
from gossamer.compression import compress, method
from gossamer.errors import ModelError
from gossamer.graph import Links, csbm
from gossamer.models import build
from gossamer.prune.graph_lottery import GraphLottery, Round
from gossamer.tasks import GraphClassification, NodeClassification
from gossamer.train import SGD, Training
from tests.graph.test_kept import same

QUICK: dict[str, Any] = {"accelerate": False, "latency": False, "progress": False}
STEADY = SGD(learning_rate=0.1, momentum=0.0, weight_decay=0.0)


def task() -> NodeClassification:
    return NodeClassification.from_graph(csbm(90, 3, 8, seed=0), per_class=8, val_per_class=8)


def network() -> nn.Module:
    torch.manual_seed(0)
    return build("gcn", in_features=8, hidden=8, out_features=3, dropout=0.0)


def test_rounds_are_those_of_the_paper() -> None:
    def rounds(sparsity: float, epochs: int, steps: int, least: int = 1) -> tuple[Round, ...]:
        return GraphLottery(sparsity=sparsity, least_steps=least).rounds(epochs, steps)

    three = rounds(1 - 0.8**3, 40, 2)
    assert [one.step for one in three] == [20, 40, 60]
    assert [one.sparsity for one in three] == pytest.approx([0.2, 0.36, 0.488])
    assert [one.edges_removed for one in three] == pytest.approx([0.05, 0.0975, 0.142625])
    between = rounds(0.3, 30, 1)
    assert [one.sparsity for one in between] == pytest.approx([0.2, 0.3])
    assert 0.05 < between[-1].edges_removed < 0.0975
    assert rounds(0.0, 10, 1) == ()
    assert [one.step for one in rounds(0.9, 3, 1)] == [1, 2]
    assert [one.step for one in rounds(0.9, 1, 4)] == [0]


def test_rounds_that_would_be_too_short_are_made_together() -> None:
    eleven = GraphLottery(sparsity=0.9)  # 0.8^11 < 0.1
    assert len(eleven.rounds(600, 1)) == 11
    few = eleven.rounds(200, 1)
    assert [one.step for one in few] == [50, 100, 150]
    assert [one.sparsity for one in few] == pytest.approx([1 - 0.8**3, 1 - 0.8**7, 0.9])
    assert few[-1].edges_removed == eleven.rounds(600, 1)[-1].edges_removed
    assert [one.step for one in eleven.rounds(10, 5)] == [25]


def test_fractions_are_exact_and_both_directions_go() -> None:
    found = compress(
        network(), task(), method("graph-lottery", sparsity=0.36, least_steps=1), training=Training(epochs=6), **QUICK
    )
    whole, left = task().graph, found.task.graphs()[0]
    assert found.sparsity == pytest.approx(0.36, abs=0.01)
    assert left.is_undirected()
    links = len(Links.of(whole))
    assert len(Links.of(left)) == -(-links * 0.9025 // 1)
    assert found.edges_removed == pytest.approx(1 - left.num_edges / whole.num_edges)
    assert found.report["edges_kept"] == left.num_edges
    assert [one["step"] for one in found.report["rounds"]] == [2, 4]


def test_masks_that_do_not_move_are_plain_training() -> None:
    still = GraphLottery(sparsity=0.2, rate=1e-12, edge_penalty=0.0, weight_penalty=0.0)
    training = Training(epochs=8, optimizer=STEADY, keep_best=False)
    found = compress(network(), task(), still, training=training, **QUICK)
    plain = compress(network(), task(), method("dense"), training=training.replace(epochs=4), **QUICK)
    both = found.histories[0].train_loss[:4], plain.histories[0].train_loss
    assert both[0] == pytest.approx(both[1], abs=1e-3), "up to the noise on the masks"


def test_a_step_is_that_of_the_loss_with_masks_as_factors() -> None:
    given, model = task(), network()
    chosen = GraphLottery(sparsity=0.2, rate=0.05, weight_penalty=0.03, edge_penalty=0.02)
    run = chosen.start(model, given, epochs=20)
    start = copy.deepcopy(run.state_dict())
    weights = {name: value.clone().requires_grad_() for name, value in start["weight"].items()}
    numbers = {name: value.clone().requires_grad_() for name, value in start["number"].items()}
    edges = start["edges"].clone().requires_grad_()
    # the loss by the book: everything a factor, autograd through all of it
    rows = next(given.batches("train"))
    links = Links.of(given.graph)
    graph = given.graph.with_edges(torch.ones(given.graph.num_edges, dtype=torch.bool), edges[links.of_edge])
    parameters = {name: weights[name] * numbers[name] for name in weights}
    logits = torch.func.functional_call(model, parameters, (given.graph.x, graph))
    assert given.graph.y is not None
    loss = nn.functional.cross_entropy(logits[rows], given.graph.y[rows])
    loss = loss + 0.03 * sum(number.abs().sum() for number in numbers.values()) + 0.02 * edges.abs().sum()
    loss.backward()
    reference = torch.optim.Adam([edges, *numbers.values()], lr=0.05)
    reference.step()
    # and as the method makes it
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert run.task is not None
    batch = next(run.task.batches("train"))
    run.task.loss(run.model, batch).backward()
    run.after_backward()
    for name, parameter in model.named_parameters():
        if name in weights:
            torch.testing.assert_close(parameter.grad, weights[name].grad, rtol=1e-4, atol=1e-7)
    optimizer.step()
    run.after_step(optimizer)
    after = run.state_dict()
    torch.testing.assert_close(after["edges"], edges.detach(), rtol=1e-4, atol=1e-5)
    for name, number in numbers.items():
        torch.testing.assert_close(after["number"][name], number.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(after["weight"][name], weights[name].detach() - 0.1 * weights[name].grad)


def test_what_stays_starts_from_the_initial_weights() -> None:
    model, given = network(), task()
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    run = GraphLottery(sparsity=0.2).start(model, given, epochs=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    assert run.task is not None
    for _ in range(2):
        optimizer.zero_grad()
        run.task.loss(run.model, next(run.task.batches("train"))).backward()
        run.after_backward()
        optimizer.step()
        run.after_step(optimizer)
    assert run.settled
    for name, value in model.state_dict().items():
        mask = run.masks.get(name)
        assert torch.equal(value, initial[name] if mask is None else initial[name] * mask)
    assert all(not bool(state["momentum_buffer"].any()) for state in optimizer.state.values())
    run.finish()
    assert run.task.graphs()[0].num_edges < given.graph.num_edges


def test_edges_that_only_join_the_wrong_classes_go_first() -> None:
    given, model = task(), network()
    chosen = method("graph-lottery", sparsity=0.5, edge_share=0.1, rate=0.05, edge_penalty=0.0, weight_penalty=0.0)
    found = compress(model, given, chosen, training=Training(epochs=150, optimizer=STEADY), **QUICK)
    assert given.graph.y is not None
    source, target = given.graph.to_edge_index()
    alike = given.graph.y[source] == given.graph.y[target]
    assert found.kept_edges is not None
    gone = ~found.kept_edges.keep
    assert float(alike[gone].float().mean()) < float(alike.float().mean())


def test_of_many_graphs_each_loses_its_share_and_a_note_says_what_chance_did() -> None:
    graphs = [csbm(30, 2, 5, seed=i) for i in range(12)]
    labelled = [gossamer.Graph(graph.adjacency, x=graph.x, y=torch.tensor(i % 2)) for i, graph in enumerate(graphs)]
    many = GraphClassification(labelled, batch_size=4)
    torch.manual_seed(0)
    model = build("gcn", in_features=5, hidden=8, out_features=2, per_graph=True)
    found = compress(model, many, method("graph-lottery", sparsity=0.2), training=Training(epochs=4), **QUICK)
    for before, after in zip(many.graphs(), found.task.graphs(), strict=True):
        assert len(Links.of(after)) == -(-len(Links.of(before)) * 0.95 // 1)
    assert any("not trained on" in note for note in found.notes)


def test_too_few_epochs_are_said_and_none_cut_at_once() -> None:
    short = compress(
        network(), task(), method("graph-lottery", sparsity=0.9, least_steps=1), training=Training(epochs=3), **QUICK
    )
    assert any("11 rounds were made as 2" in note for note in short.notes)
    assert short.sparsity == pytest.approx(0.9, abs=0.01)
    none = compress(network(), task(), method("graph-lottery", sparsity=0.9), training=Training(epochs=0), **QUICK)
    weights = torch.cat([value.flatten() for name, value in network().named_parameters() if "weight" in name]).abs()
    kept = torch.cat([value.flatten() for name, value in none.model.named_parameters() if "weight" in name]) != 0
    weights = weights.detach()
    assert float(weights[kept].min()) >= float(weights[~kept].max()), "by size, over all layers"
    assert none.edges_removed == pytest.approx(short.edges_removed)


def test_what_cannot_be_masked_is_refused() -> None:
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, x: Any, graph: Any) -> torch.Tensor:
            out: torch.Tensor = self.layer(x)
            return out

    with pytest.raises(ModelError, match="Blind does not depend on the weights of its edges"):
        compress(Blind(), task(), method("graph-lottery"), training=Training(epochs=1), **QUICK)


def test_it_trains_with_dropped_edges_and_after_another_method() -> None:
    methods = [method("sparsify-edges", removed=0.3), method("graph-lottery", sparsity=0.36), method("magnitude")]
    training = Training(epochs=4, drop_edges=0.2)
    found = compress(network(), task(), methods, training=training, **QUICK)
    again = compress(network(), task(), methods, training=training, **QUICK)
    assert same(found.task.graphs()[0], again.task.graphs()[0])
    assert found.edges_removed == pytest.approx(1 - 0.7 * 0.9025, abs=0.02)
    assert found.sparsity == pytest.approx(0.9, abs=0.01)
    assert found.cost.graph_bytes is not None
    assert found.cost_before.graph_bytes is not None
    assert found.cost.graph_bytes < found.cost_before.graph_bytes
    assert found.cost.macs < found.cost_before.macs


def test_masked_training_takes_less_as_edges_and_weights_go() -> None:
    run = GraphLottery(sparsity=0.36, least_steps=1).start(network(), task(), epochs=6)
    costs = []
    optimizer = torch.optim.SGD(run.model.parameters(), lr=0.1)
    assert run.task is not None
    for _ in range(6):
        costs.append(run.training_cost())
        optimizer.zero_grad()
        run.task.loss(run.model, next(run.task.batches("train"))).backward()
        run.after_backward()
        optimizer.step()
        run.after_step(optimizer)
    assert 3.0 < costs[0] < 4.0, "and the products of the edges' gradient"
    assert costs[0] == costs[1] > costs[2] == costs[3] > costs[4] == costs[5]
    assert costs[5] < 3.0


def test_a_loop_that_ends_early_gets_all_that_was_asked_for() -> None:
    given, model = task(), network()
    run = GraphLottery(sparsity=0.9, rate=0.05, least_steps=1).start(model, given, epochs=40)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert run.task is not None
    run.task.loss(run.model, next(run.task.batches("train"))).backward()
    run.after_backward()
    optimizer.step()
    run.after_step(optimizer)
    state = run.state_dict()
    small = run.finish()
    for name, mask in run.masks.items():
        weight = dict(small.named_parameters())[name]
        assert torch.equal(weight, state["weight"][name] * mask), "trained weights, without their masks"
    links = len(Links.of(given.graph))
    exact = torch.log(torch.tensor(0.1)) / torch.log(torch.tensor(0.8))
    assert len(Links.of(run.task.graphs()[0])) == pytest.approx(links * 0.95 ** float(exact), abs=1)
