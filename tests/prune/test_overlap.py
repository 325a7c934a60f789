"""The overlap of masks over a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from gossamer.errors import SettingError
from gossamer.prune.overlap import Structure, overlap
from gossamer.tasks import LoaderTask
from gossamer.train import SGD, Training, fit
from tests.prune.toy import network


def test_overlaps_are_those_of_the_largest_weights_after_each_epoch(tmp_path) -> None:
    draw = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randn(24, 12, generator=draw), torch.randint(4, (24,), generator=draw))
    task = LoaderTask(data, data, data, batch_size=8)
    training = Training(epochs=4, optimizer=SGD(learning_rate=0.5), keep_best=False)

    class Kept(Structure):
        weights: list[list[np.ndarray]]

        def after_epoch(self, epoch: int) -> None:
            super().after_epoch(epoch)
            self.weights = [
                *getattr(self, "weights", []),
                [self.model[i].weight.detach().numpy().copy() for i in (0, 2)],
            ]

    model = network()
    structure = Kept(model, sparsity=0.75)
    fit(model, task, training, hooks=structure, progress=False)
    largest = [
        {(place, i) for place, layer in enumerate(layers) for i in np.argsort(-abs(layer.ravel()))[: layer.size // 4]}
        for layers in structure.weights
    ]
    expected = [len(one & largest[-1]) / len(one | largest[-1]) for one in largest]
    assert structure.overlaps() == pytest.approx(expected)
    assert structure.overlaps()[-1] == 1.0
    assert structure.overlaps()[0] < 1.0

    again = Structure(nn.Sequential(*network()), sparsity=0.75)
    again.load_state_dict(structure.state_dict())
    assert again.overlaps() == structure.overlaps()


def test_overlap_by_hand_and_its_range() -> None:
    some, all_ = torch.tensor([[True, False], [False, False]]), torch.ones(2, 2, dtype=torch.bool)
    assert overlap({"a": some, "b": all_}, {"a": all_, "b": all_}) == 5 / 8
    assert overlap({"a": ~all_}, {"a": ~all_}) == 1.0
    with pytest.raises(SettingError, match=r"sparsity is 1.0; expected a number at least 0 and below 1"):
        Structure(network(), sparsity=1.0)
