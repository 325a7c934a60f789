"""The settings of learning links online."""

from __future__ import annotations

from dataclasses import dataclass, field

from gossamer.settings import Settings, bounded
from gossamer.tasks.temporal import WalkVectors


@dataclass(frozen=True, kw_only=True)
class Online(Settings):
    """How a stream is learned from."""

    batch: int = bounded(1000, ge=1)  # events that are scored, then learned from, together
    walks: WalkVectors = field(default_factory=WalkVectors)
    hidden: int = bounded(128, ge=1)  # width of the network
    learning_rate: float = bounded(0.05, gt=0.0)  # of the network
    epochs: int = bounded(1, ge=1)  # of the network, over a batch and what is replayed
    replay: float = bounded(1.0, ge=0.0)  # old events that are learned again, for each new one
    rows: int = bounded(1024, ge=1)  # pairs a training step
    warm: bool = True  # whether learning goes on; otherwise each batch starts anew, on all events so far
    epochs_anew: int = bounded(20, ge=1)  # of the network, where each batch starts anew
