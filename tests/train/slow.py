"""Trains slowly, so that another process can interrupt it: `python -m tests.train.slow CHECKPOINT`."""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor, nn

from gossamer.train import fit
from tests.train.toy import TRAINING, Masking, Toy, network


class Slow(Toy):
    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        assert "lightning" not in sys.modules  # it takes seconds to import, and is not needed here
        time.sleep(0.2)
        return super().loss(model, batch)


if __name__ == "__main__":
    torch.set_num_threads(1)
    model = network()
    fit(model, Slow(), TRAINING, hooks=Masking(model), seed=3, checkpoint=sys.argv[1] or None, progress=False)
