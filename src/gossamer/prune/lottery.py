"""Lottery tickets: train, prune, rewind the survivors to their initial values, and again.

Frankle & Carbin, "The lottery ticket hypothesis", ICLR 2019: the weights that a trained network keeps, put
back to where they started, train to the same accuracy. `rewind_to` above 0 rewinds to an early step instead
(Frankle et al., "Linear mode connectivity and the lottery ticket hypothesis", ICML 2020), which larger
networks need. Ours: all rounds share one budget of epochs, and the learning-rate schedule runs once over all
of them; give it several times the epochs for the paper's setting. Rewinding the learning rate and not the weights
(Renda, Frankle & Carbin, ICLR 2020) is `rewind=False` of the schedule with `train.Restarts` of the learning rate.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.hard_masks import HardMasks
from gossamer.prune.schedules import Iterative
from gossamer.prune.scores import Magnitude

LOTTERY = register(
    "lottery",
    HardMasks(score=Magnitude(), schedule=Iterative()),
    summary="Train, remove the smallest weights, rewind the others to their start; several rounds.",
)
