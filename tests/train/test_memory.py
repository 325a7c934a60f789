"""Memory of a training step against what its tensors must take."""

from __future__ import annotations

import torch
from torch import nn

from gossamer.tasks import ImageClassification, Images
from gossamer.train import StepMemory, step_memory


def test_parts_are_those_of_a_perceptron_worked_out_by_hand() -> None:
    images = Images(torch.randn(40, 1, 5, 5), torch.arange(40) % 3, torch.randn(9, 1, 5, 5), torch.arange(9) % 3, 3)
    task = ImageClassification(images, batch_size=12, val=0.1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(25, 7), nn.ReLU(), nn.Linear(7, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = step_memory(model, task, optimizer)
    count = 25 * 7 + 7 + 7 * 3 + 3
    assert (found.parameters, found.gradients, found.optimizer) == (4 * count, 4 * count, 4 * count)
    assert found.examples == 12
    assert found.batch == 12 * (4 * 25 + 8)
    # kept for the backward pass: the ReLU's result, logarithms of the softmax, and the total weight of the loss
    assert found.activations - 12 * 4 * (7 + 3) in (0, 4)
    assert found.by_parts == 3 * 4 * count + found.batch + found.activations
    assert found.measured >= found.parameters + found.optimizer + found.batch + found.gradients
    assert found.measured <= 1.5 * found.by_parts
    assert not optimizer.state
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_adam_remembers_twice_as_much() -> None:
    images = Images(torch.randn(40, 1, 5, 5), torch.arange(40) % 3, torch.randn(9, 1, 5, 5), torch.arange(9) % 3, 3)
    task, model = ImageClassification(images, batch_size=12), nn.Sequential(nn.Flatten(), nn.Linear(25, 3))
    found = step_memory(model, task, torch.optim.Adam(model.parameters()))
    assert found.optimizer == 2 * found.parameters + 2 * 4  # and a counter for each of two parameters


def test_the_largest_batch_that_fits() -> None:
    memory = StepMemory(parameters=100, gradients=100, optimizer=200, activations=60, batch=20, examples=8, measured=0)
    assert memory.by_parts == 480
    assert memory.per_example == 10.0
    assert [memory.largest_batch(bytes_, 50) for bytes_ in (0, 410, 480, 489, 490, 10_000)] == [1, 1, 8, 8, 9, 50]
