"""Top-KAST against its equations, a weight at a time."""

from __future__ import annotations

import torch

from gossamer.prune.allocation import Uniform
from gossamer.prune.top_kast import TopKAST
from tests.prune.toy import Regression, epoch_of, network, sgd, train


def test_forward_with_the_largest_backward_with_more() -> None:
    model = network()
    full = {name: value.detach().clone() for name, value in model.named_parameters()}
    run = TopKAST(sparsity=0.8, reach=0.25, allocation=Uniform()).start(model, Regression(), epochs=1)
    sizes = full["0.weight"].abs().flatten().sort(descending=True).values
    used, reached = run.masks["0.weight"], run.reached["0.weight"]
    assert int(used.sum()) == 48
    assert int(reached.sum()) == 96  # 0.8 · (1 − 0.25) = 0.6 stays out of reach
    assert torch.equal(used, full["0.weight"].abs() >= sizes[47])
    assert torch.equal(reached, full["0.weight"].abs() >= sizes[95])
    assert torch.equal(model[0].weight, full["0.weight"] * used)
    assert torch.equal(run.remembered["0.weight"], full["0.weight"])


def test_one_step_by_hand() -> None:
    task, model = Regression(), network()
    full = model[0].weight.detach().clone()
    run = TopKAST(sparsity=0.8, reach=0.25, decay=0.1, allocation=Uniform()).start(model, task, epochs=1)
    used, reached = run.masks["0.weight"], run.reached["0.weight"]
    batch = next(task.batches("train"))
    task.loss(model, batch).backward()
    gradient = model[0].weight.grad.clone()
    assert gradient[~used].any(), "the test needs gradients outside the forward set"
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.3)
    run.after_backward()
    optimizer.step()
    run.after_step(optimizer)
    pull = torch.where(used, 0.1 * full, 0.1 / 0.2 * full)
    expected = torch.where(reached, full - 0.5 * (gradient + pull + 0.3 * full), full)
    torch.testing.assert_close(run.remembered["0.weight"], expected, rtol=1e-5, atol=1e-6)
    now = run.masks["0.weight"]
    torch.testing.assert_close(model[0].weight.detach(), expected * now, rtol=1e-5, atol=1e-6)
    assert expected.abs()[now].min() >= expected.abs()[~now].max() - 1e-6


def test_weights_come_into_use_and_the_count_stays() -> None:
    task = Regression()
    run = TopKAST(sparsity=0.8).start(network(), task, epochs=10)
    before, count = run.masks["0.weight"], run.target_nonzeros()
    optimizer = sgd(run.model)
    for epoch in range(10):
        epoch_of(run, task, optimizer, epoch)
        assert run.target_nonzeros() == count
    assert (run.masks["0.weight"] & ~before).any()
    assert 2 * 0.2 < run.training_cost() < 3


def test_fits_a_network_at_half_the_weights() -> None:
    task = Regression()
    run = TopKAST(sparsity=0.5).start(network(hidden=32), task, epochs=80)
    model = train(run, task, torch.optim.Adam(run.model.parameters(), lr=0.01))
    assert task.evaluate(model, "val")["r2"] > 0.8
