"""Scores from the inputs of layers against products written out, and least squares solved step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.prune import LayerOutput, Wanda
from gossamer.prune.inputs import input_products
from gossamer.prune.weights import prunable_weights
from tests.battery.networks import NETWORKS
from tests.prune.toy import Regression

CHANCE = torch.Generator().manual_seed(0)


class Pictures(Regression):
    def __init__(self) -> None:
        super().__init__(count=1)
        self.x = torch.randn(8, 4, 6, 5, generator=torch.Generator().manual_seed(1))

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        return model(batch[0]).sum()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_convolutions_give_patches(groups: int, mode: str) -> None:
    layer = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 1), dilation=(1, 2), groups=groups, padding_mode=mode)
    task = Pictures()
    found = input_products(layer, task, prunable_weights(layer), batches=1, diagonal=False)["weight"]
    x = next(task.batches("train"))[0].double()
    padded = F.pad(x, (1, 1, 1, 1), mode="constant" if mode == "zeros" else mode)
    patches = F.unfold(padded, (3, 2), dilation=(1, 2), stride=(2, 1))  # (N, C·taps, places), channel by channel
    rows = patches.movedim(1, 2).reshape(-1, groups, patches.shape[1] // groups).transpose(0, 1)
    torch.testing.assert_close(found, rows.transpose(1, 2) @ rows)
    diagonal = input_products(layer, task, prunable_weights(layer), batches=1, diagonal=True)["weight"]
    torch.testing.assert_close(diagonal, rows.square().sum(1))


def test_sparse_features_and_unseen_inputs() -> None:
    gcn = next(network for network in NETWORKS if network.name == "gcn")
    torch.manual_seed(0)
    model, task = gcn.model(), gcn.task()
    weights = prunable_weights(model)
    found = input_products(model, task, weights, batches=1, diagonal=True)
    assert all(found[weight.name].shape == (1, weight.columns) for weight in weights)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)

    class Tokens(Regression):
        def loss(self, model: nn.Module, batch: Any) -> Tensor:
            x = torch.ones(2, 3, 8) * 2
            return model(x, x, x)[0].sum()

    found = input_products(attention, Tokens(count=1), prunable_weights(attention), batches=1, diagonal=True)
    assert found["in_proj_weight"].tolist() == [[24.0] * 8]
    assert found["out_proj.weight"].tolist() == [[1.0] * 8]


def test_wanda_by_hand() -> None:
    model = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 3.0], [100.0, 300.0, -200.0]]))

    class Rows(Regression):
        def __init__(self) -> None:
            super().__init__(count=1)
            self.x = torch.tensor([[3.0, 0.0, 0.5], [4.0, 1.0, 0.0]])
            self.y = torch.zeros(2, 2)

    weights = prunable_weights(model)
    observed = Wanda().gather(model, Rows(), weights, batches=8)["weight"]
    layer = Wanda(compare="layer").score(model.weight, observed, CHANCE)
    assert layer.tolist() == [[5, 2, 1.5], [500, 300, 100]]
    assert Wanda().score(model.weight, observed, CHANCE).tolist() == [[1, 2 / 3, 1 / 3], [1, 2 / 3, 1 / 3]]


def sweep(products: Tensor, weight: Tensor, keep: Tensor) -> Tensor:
    """One row, column by column: a removed weight is zeroed and the later columns minimise the output's change."""
    row = weight.double().clone()
    for column in range(len(row)):
        if not keep[column]:
            rest = slice(column + 1, None)
            pull = products[rest, column] * row[column]
            row[rest] += torch.linalg.solve(products[rest, rest], pull) if column + 1 < len(row) else pull
            row[column] = 0.0
    return row


@pytest.mark.parametrize("block", [1, 3, 128])
def test_sparsegpt_sweeps_as_least_squares_does(block: int) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(40, 7, generator=generator, dtype=torch.float64)
    products = x.T @ x
    weight = torch.randn(5, 7, generator=generator)
    keep = torch.rand(5, 7, generator=generator) > 0.5
    score = LayerOutput(damping=0.05, block=block)
    damped = products + 0.05 * products.diagonal().mean() * torch.eye(7, dtype=torch.float64)
    factor = score._factor(products[None])
    found = score.repair(weight, keep, factor)
    expected = torch.stack([sweep(damped, row, mask) for row, mask in zip(weight, keep, strict=True)])
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-6)
    assert not found[~keep].any()


def test_sparsegpt_scores_are_what_removing_one_weight_costs() -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(30, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(1, 5, generator=generator)
    score = LayerOutput(damping=1e-9)
    factor = score._factor((x.T @ x)[None])
    found = score.score(weight, factor, CHANCE)[0]
    for column in range(5):
        keep = torch.ones(1, 5, dtype=torch.bool)
        keep[0, column] = False
        moved = score.repair(weight, keep, factor).double() - weight.double()
        assert float((x @ moved[0]).square().sum()) == pytest.approx(float(found[column]), rel=1e-4)


def test_groups_of_a_convolution_are_repaired_apart() -> None:
    task = Pictures()
    layer = nn.Conv2d(4, 6, 2, groups=2)
    half = nn.Conv2d(2, 3, 2)
    half.weight.data.copy_(layer.weight.data[3:])

    class Second(Pictures):
        def loss(self, model: nn.Module, batch: Any) -> Tensor:
            return model(batch[0][:, 2:]).sum()

    keep = torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(2)) > 0.4
    score = LayerOutput()
    both = score.gather(layer, task, prunable_weights(layer), batches=1)["weight"]
    one = score.gather(half, Second(), prunable_weights(half), batches=1)["weight"]
    torch.testing.assert_close(
        score.repair(layer.weight.data, keep, both)[3:], score.repair(half.weight.data, keep[3:], one)
    )
