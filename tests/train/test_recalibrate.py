"""Statistics of batch normalisations are the plain means over the batches seen."""

from __future__ import annotations

import torch
from torch import nn

from gossamer.tasks import ImageClassification, Images
from gossamer.train.recalibrate import recalibrate_


def test_statistics_are_means_over_batches() -> None:
    images = Images(torch.randn(40, 2, 5, 5), torch.arange(40) % 3, torch.randn(9, 2, 5, 5), torch.arange(9) % 3, 3)
    task = ImageClassification(images, batch_size=12)
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(50, 3)).eval()
    model[0].running_mean.fill_(9.0)
    weight = model[3].weight.clone()
    assert recalibrate_(model, task, 2) == 2
    seen = [x for x, _ in task.batches("train")][:2]
    torch.testing.assert_close(model[0].running_mean, torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0))
    torch.testing.assert_close(model[0].running_var, torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0))
    assert model[0].momentum == 0.1
    assert not model[0].training
    assert torch.equal(model[3].weight, weight)


def test_a_network_without_statistics_takes_no_pass() -> None:
    images = Images(torch.randn(8, 1, 2, 2), torch.arange(8) % 2, torch.randn(4, 1, 2, 2), torch.arange(4) % 2, 2)
    assert recalibrate_(nn.Linear(4, 2), ImageClassification(images, batch_size=4), 2) == 0
