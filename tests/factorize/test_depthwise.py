"""Kernels of single channels: as near as they can be, exact at full rank, and taught by the network before the cut."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import gossamer
from gossamer.compression import compress, method
from gossamer.distill import soft_targets
from gossamer.factorize import Depthwise, NuclearNorm
from gossamer.nn import DepthwiseSeparable as Separable
from gossamer.nn.factorized import Factorized
from gossamer.train import SGD, Training
from tests.battery.networks import NETWORKS

QUIET = {"latency": False, "accelerate": False, "progress": False}
CNN = NETWORKS[1]


def convolution(kernel: int = 3, **options: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(4, 6, kernel, **options)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}])
def test_at_full_rank_the_layer_computes_what_it_did(options):
    layer = convolution(**options)
    how = Depthwise()
    (full,) = how.full(tuple(layer.weight.shape))
    assert full == 6
    chain = how.factorize(layer, full)
    x = torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(chain(x), layer(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(chain.weight, layer.weight, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_errors_are_those_that_were_told_and_no_kernels_do_better(rank):
    layer, how = convolution(), Depthwise()
    chain = how.factorize(layer, rank)
    error = float((chain.weight - layer.weight).detach().square().sum())
    assert error == pytest.approx(float(how.tails(layer.weight.detach().double())[0][rank]), rel=1e-4)
    for channel in range(4):  # by another library, a channel at a time
        matrix = layer.weight[:, channel].flatten(1).detach().numpy()
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        best = (left[:, :rank] * values[:rank]) @ right[:rank]
        np.testing.assert_allclose(chain.weight[:, channel].flatten(1).detach().numpy(), best, rtol=1e-3, atol=1e-5)


def test_the_chain_has_the_weights_of_the_formula_and_the_shape_of_the_module():
    layer = convolution()
    for rank in (1, 3):
        chain = Depthwise().factorize(layer, rank)
        count = sum(parameter.numel() for parameter in chain.parameters()) - 6
        assert count == Depthwise().weights(tuple(layer.weight.shape), (rank,)) == Separable.count(4, 6, 3, rank)
    separable = Separable(4, 6)
    assert [tuple(part.weight.shape) for part in separable] == [
        tuple(part.weight.shape) for part in Depthwise().factorize(layer, 1)
    ]


def test_a_penalty_can_be_taken_of_every_channel():
    weight = convolution().weight
    total = sum(NuclearNorm(strength=1.0).of(matrix, 1) for matrix in Depthwise().unfoldings(weight))
    wanted = sum(torch.linalg.svdvals(weight[:, c].flatten(1)).sum() for c in range(4))
    torch.testing.assert_close(total, wanted)


def test_a_network_keeps_the_share_of_its_weights_that_was_asked_for(tmp_path):
    torch.manual_seed(0)
    model, task = CNN.model(), CNN.task()
    result = compress(model, task, method("depthwise-separable", sparsity=0.6), training=Training(epochs=2), **QUIET)
    assert isinstance(result.model[3], Factorized)
    assert result.model[3].form == "depthwise"
    assert type(result.model[6]) is torch.nn.Linear  # it is no convolution
    prunable = 16 * 9 + 32 * 16 * 9
    assert result.cost_before.parameters - result.cost.parameters >= 0.6 * prunable
    result.save(tmp_path / "small.gossamer")
    again = gossamer.load(tmp_path / "small.gossamer", CNN.model())
    x = task.example()[0]
    torch.testing.assert_close(again(x), result.model.eval()(x), rtol=0, atol=0)


def test_a_taught_step_follows_both_labels_and_the_network_before_the_cut():
    """One step of plain SGD moves the weights by the gradient of (1 - a) · loss + a · T² · KL."""
    torch.manual_seed(0)
    model, task = CNN.model(), CNN.task()
    for module in model:  # statistics of a batch would differ between the teacher's mode and the student's
        module.eval()
    a, temperature, rate = 0.6, 3.0, 0.05
    chosen = method(
        "depthwise-separable",
        teacher="original",
        weight=a,
        temperature=temperature,
        sparsity=0.6,
        at=0.0,
    )
    run = chosen.start(copy.deepcopy(model), task, epochs=1)
    student = run.model.train()
    student[1].eval()
    expected = copy.deepcopy(student)
    for part in expected.modules():
        part._forward_hooks.clear()
    batch = next(task.batches("train"))
    optimizer = SGD(learning_rate=rate, momentum=0.0, weight_decay=0.0).build(student.parameters())
    plain = task.loss(student, batch)
    run.after_loss(plain.detach())
    (plain + run.penalty()).backward()
    run.after_backward()
    optimizer.step()

    x, _ = batch
    total = (1 - a) * task.loss(expected, batch) + a * soft_targets(expected(x), model.eval()(x), temperature)
    gradients = torch.autograd.grad(total, list(expected.parameters()))
    for moved, before, gradient in zip(student.parameters(), expected.parameters(), gradients, strict=True):
        torch.testing.assert_close(moved, before - rate * gradient, rtol=1e-4, atol=1e-6)
    assert not run.finish()._forward_hooks


def test_a_teacher_survives_a_kill(tmp_path):
    torch.manual_seed(0)
    model, task = CNN.model(), CNN.task()
    chosen = method("depthwise-separable", teacher="original", at=0.25)
    training = Training(epochs=4, patience=None, keep_best=False, checkpoint_minutes=0.0)
    straight = compress(model, task, chosen, training=training, **QUIET)

    class Killed(Exception):  # noqa: N818  a kill is not an error
        pass

    steps, plain = 0, task.loss

    def loss(network, batch):
        nonlocal steps
        steps += 1
        if steps > 7:
            raise Killed
        return plain(network, batch)

    task.loss = loss
    with pytest.raises(Killed):
        compress(model, task, chosen, training=training, checkpoint=tmp_path, **QUIET)
    resumed = compress(model, CNN.task(), chosen, training=training, checkpoint=tmp_path, **QUIET)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
