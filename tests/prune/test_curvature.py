"""Scores of first and second order against double backward, hand-made numbers and quadratics solved exactly."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gossamer.errors import SettingError
from gossamer.prune import (
    BlockFisher,
    DropAndGrow,
    Fisher,
    Grasp,
    HardMasks,
    Lamp,
    Movement,
    OneShot,
    SecondOrder,
    Snip,
    SynFlow,
    Travel,
    Wanda,
)
from gossamer.prune.curvature import hessian_product, mean_gradient
from gossamer.prune.weights import prunable_weights
from tests.prune.toy import Regression, epoch_of, network, sgd

CHANCE = torch.Generator().manual_seed(0)


class Smooth(Regression):
    """A network with curvature everywhere, and two batches."""

    def __init__(self) -> None:
        super().__init__(count=2)

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.mse_loss(model(batch[0]).tanh(), batch[1].tanh())


def smooth() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 4))


def whole_loss(model: nn.Module, task: Regression) -> Tensor:
    losses = [task.loss(model, batch) for batch in task.batches("train")]
    return torch.stack(losses).mean()


def exact(model: nn.Module, task: Regression, vector: dict[str, Tensor] | None) -> dict[str, Tensor]:
    """Returns H·v by differentiating twice; v = g where None."""
    names = [name for name, _ in model.named_parameters() if name.endswith("weight")]
    values = [dict(model.named_parameters())[name] for name in names]
    first = torch.autograd.grad(whole_loss(model, task), values, create_graph=True)
    along = [g.detach() for g in first] if vector is None else [vector[name] for name in names]
    inner = sum((g * v).sum() for g, v in zip(first, along, strict=True))
    return dict(zip(names, torch.autograd.grad(inner, values), strict=True))


def test_hessian_products_agree_with_double_backward_and_leave_no_trace() -> None:
    model, task = smooth(), Smooth()
    weights = prunable_weights(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    vector = {weight.name: torch.randn(weight.weight.shape) for weight in weights}
    found = hessian_product(model, task, weights, vector, batches=9)
    for name, value in exact(model, task, vector).items():
        torch.testing.assert_close(found[name], value, rtol=5e-3, atol=5e-4)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_grasp_is_the_change_of_the_gradient_s_length() -> None:
    model, task = smooth(), Smooth()
    weights = prunable_weights(model)
    observed = Grasp().gather(model, task, weights, batches=9)
    second = exact(model, task, None)
    for weight in weights:
        expected = weight.weight.detach() * second[weight.name]
        found = Grasp().score(weight.weight, observed[weight.name], CHANCE)
        torch.testing.assert_close(found, expected, rtol=5e-3, atol=2e-5)

    def length(scale: float) -> float:
        twin = smooth().double()
        task64 = Smooth()
        task64.x, task64.y = task64.x.double(), task64.y.double()
        with torch.no_grad():
            twin[0].weight[2, 3] *= scale
        gradient = mean_gradient(twin, task64, prunable_weights(twin), batches=9)
        return sum(float(g.square().sum()) for g in gradient.values())

    slope = (length(1 - 1e-4) - length(1 + 1e-4)) / 2e-4
    worth = Grasp().score(weights[0].weight, observed["0.weight"], CHANCE)[2, 3]
    assert slope == pytest.approx(-2 * float(worth), rel=1e-2)


def test_snip_is_the_size_of_weight_times_mean_gradient() -> None:
    model, task = smooth(), Smooth()
    whole_loss(model, task).backward()
    observed = Snip().gather(model, task, prunable_weights(model), batches=9)
    found = Snip().score(model[0].weight, observed["0.weight"], CHANCE)
    torch.testing.assert_close(found, (model[0].weight * model[0].weight.grad).abs())


def test_snip_normalises_by_batches_and_leaves_running_statistics_alone() -> None:
    model = nn.Sequential(nn.Linear(12, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 4))
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    observed = Snip().gather(model, Smooth(), prunable_weights(model), batches=9)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    model.train()
    model[2].eval()
    whole_loss(model, Smooth()).backward()
    torch.testing.assert_close(observed["0.weight"], model[0].weight.grad, rtol=1e-4, atol=1e-6)


def test_synflow_counts_the_flow_through_a_weight() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 0.0]]))
        model[2].weight.copy_(torch.tensor([[-5.0, 7.0]]))

    class One(Regression):
        def example(self) -> tuple[Any, ...]:
            return (torch.randn(1, 2),)

    weights = prunable_weights(model)
    observed = SynFlow().gather(model, One(), weights, batches=1)
    scores = [SynFlow().score(weight.weight, observed[weight.name], CHANCE).tolist() for weight in weights]
    assert scores == [[[5, 10], [21, 0]], [[15, 21]]]  # conserved: 5 + 10 = 15 at the first unit, 21 at the second
    assert model[2].weight.tolist() == [[-5, 7]]


def test_synflow_in_many_passes_cuts_no_layer_off() -> None:
    task = Regression()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), *[nn.Linear(12, 12) for _ in range(3)], nn.Linear(12, 4))
    from gossamer.compression.registry import method

    run = method("synflow", sparsity=0.95).start(model, task, epochs=0)
    pruned = run.finish()
    path = torch.ones(12)
    for layer in pruned:
        if isinstance(layer, nn.Linear):
            path = (layer.weight != 0).float() @ path
    assert path.any(), "no path from input to output is left"


def test_fisher_by_hand() -> None:
    weight = torch.tensor([2.0, -1.0])
    gradients = [torch.tensor([1.0, 4.0]), torch.tensor([3.0, 0.0])]
    mean = torch.stack([Fisher().observe(weight, g) for g in gradients]).mean(0)
    assert Fisher().score(weight, mean, CHANCE).tolist() == [0.5 * 4 * 5, 0.5 * 1 * 8]


class Quadratic(Regression):
    """½·(w − m)ᵀ·H·(w − m), w being a layer's weight."""

    def __init__(self, hessian: Tensor, minimum: Tensor) -> None:
        super().__init__(count=1)
        self.hessian, self.minimum = hessian, minimum

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        away = model[0].weight.flatten() - self.minimum
        return 0.5 * away @ self.hessian @ away


def test_second_order_is_exact_where_the_hessian_is_diagonal() -> None:
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    diagonal = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.5, 4.0])
    task = Quadratic(torch.diag(diagonal), torch.randn(6, generator=torch.Generator().manual_seed(2)))
    weights = prunable_weights(model)
    observed = SecondOrder(probes=1).gather(model, task, weights, batches=1)
    found = SecondOrder().score(weights[0].weight, observed["0.weight"], CHANCE).flatten()
    base = task.loss(model, None).item()
    for i in range(6):
        without = nn.Sequential(nn.Linear(3, 2, bias=False))
        without.load_state_dict(model.state_dict())
        with torch.no_grad():
            without[0].weight.view(-1)[i] = 0.0
        assert float(found[i]) == pytest.approx(abs(task.loss(without, None).item() - base), rel=5e-3, abs=1e-4)


def fisher_problem() -> tuple[BlockFisher, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn(2, 3, generator=generator)
    gradients = torch.randn(5, 2, 3, generator=generator)
    score = BlockFisher(damping=0.2)
    flat = gradients.flatten(1).double()
    empirical = flat.T @ flat / 5
    matrix = empirical + 0.2 * empirical.diagonal().mean() * torch.eye(6, dtype=torch.float64)
    return score, weight, gradients, matrix


def least(matrix: Tensor, weight: Tensor, gone: tuple[int, ...]) -> tuple[float, Tensor]:
    """Returns the least ½·δᵀFδ with δ = −w on `gone`, and w + δ, by a linear system with multipliers."""
    size, count = len(matrix), len(gone)
    pick = torch.zeros(count, size, dtype=torch.float64)
    pick[range(count), gone] = 1.0
    system = torch.zeros(size + count, size + count, dtype=torch.float64)
    system[:size, :size], system[:size, size:], system[size:, :size] = matrix, pick.T, pick
    right = torch.cat([torch.zeros(size, dtype=torch.float64), -weight.double()[list(gone)]])
    change = torch.linalg.solve(system, right)[:size]
    return float(0.5 * change @ matrix @ change), weight.double() + change


def test_obs_scores_are_the_least_growth_of_the_quadratic_loss() -> None:
    score, weight, gradients, matrix = fisher_problem()
    found = score.score(weight, gradients, CHANCE).flatten()
    for i in range(6):
        assert float(found[i]) == pytest.approx(least(matrix, weight.flatten(), (i,))[0], rel=1e-9)


def test_obs_moves_the_others_to_the_minimum_for_every_set_of_removed_weights() -> None:
    score, weight, gradients, matrix = fisher_problem()
    for count in (1, 2, 5):
        for gone in itertools.combinations(range(6), count):
            keep = torch.ones(6, dtype=torch.bool)
            keep[list(gone)] = False
            found = score.repair(weight, keep.view(2, 3), gradients).flatten()
            expected = least(matrix, weight.flatten(), gone)[1].float()
            torch.testing.assert_close(found, expected.where(keep, 0.0), rtol=1e-5, atol=1e-6)


def test_obs_blocks_do_not_see_each_other() -> None:
    _, weight, gradients, _ = fisher_problem()
    blocks = BlockFisher(damping=0.2, block=4)
    keep = torch.tensor([[False, True, True], [True, True, True]])
    repaired = blocks.repair(weight, keep, gradients).flatten()
    assert torch.equal(repaired[4:], weight.flatten()[4:])
    assert not torch.equal(repaired[1:4], weight.flatten()[1:4])


def test_lamp_by_hand() -> None:
    found = Lamp().score(torch.tensor([[2.0, -1.0], [0.0, 3.0]]), None, CHANCE)
    torch.testing.assert_close(found, torch.tensor([[4 / 13, 1 / 14], [0.0, 1.0]], dtype=torch.float64))
    assert Lamp().score(torch.zeros(2), None, CHANCE).tolist() == [0, 0]


def test_movement_sums_over_the_steps_of_training() -> None:
    task = Regression()
    method = HardMasks(sparsity=0.5, score=Movement(), schedule=OneShot(at=1.0))
    run = method.start(network(), task, epochs=2)
    model, twin = run.model, network()
    expected = torch.zeros(20, 12)
    plain = sgd(twin)
    for epoch in range(2):
        for batch in task.batches("train", epoch=epoch):
            plain.zero_grad()
            task.loss(twin, batch).backward()
            expected -= twin[0].weight.detach() * twin[0].weight.grad
            plain.step()
    optimizer = sgd(model)
    for epoch in range(2):
        epoch_of(run, task, optimizer, epoch)
    run.finish()
    kept = model[0].weight != 0
    assert 0 < int(kept.sum()) < kept.numel()
    assert expected[kept].min() >= expected[~kept].max()


def test_travel_is_the_way_from_the_first_weights() -> None:
    first = torch.tensor([1.0, -2.0])
    past = Travel().follow(None, first, torch.zeros(2))
    assert Travel().follow(past, torch.zeros(2), torch.zeros(2)) is past
    assert Travel().score(torch.tensor([1.5, -5.0]), past, CHANCE).tolist() == [0.5, 3.0]


def test_passes_remove_the_same_share_each_and_end_at_the_sparsity() -> None:
    seen: list[float] = []

    class Watching(Regression):
        def batches(self, split: Any, *, seed: int = 0, epoch: int = 0) -> Iterator[Any]:
            seen.append(float((model[0].weight != 0).float().mean()))
            return super().batches(split, seed=seed, epoch=epoch)

    model = network()
    HardMasks(sparsity=0.936, score=Fisher(), schedule=OneShot(at=0.0), passes=3).start(model, Watching(), epochs=1)
    assert seen == pytest.approx([1.0, 0.4, 0.16], abs=0.01)
    assert float((model[0].weight != 0).float().mean()) == pytest.approx(0.064, abs=0.01)


def test_dropping_takes_no_score_that_needs_the_whole_network() -> None:
    with pytest.raises(SettingError, match="drop is 'wanda'"):
        DropAndGrow(drop=Wanda())
