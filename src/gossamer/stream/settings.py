"""The settings of learning online."""

from __future__ import annotations

from dataclasses import dataclass, field

from gossamer.settings import Settings, bounded
from gossamer.tasks.temporal import WalkVectors
from gossamer.tasks.temporal.node import NODE_WALKS


@dataclass(frozen=True, kw_only=True)
class Following(Settings):
    """How a stream is followed, whatever is learned from it."""

    batch: int = bounded(1000, ge=1)  # events that are scored, then learned from, together
    walks: WalkVectors = field(default_factory=WalkVectors)
    epochs: int = bounded(1, ge=1)  # of the network, over a batch and what is replayed
    replay: float = bounded(1.0, ge=0.0)  # old events, or nodes, that are learned again, for each new one
    keep: float = bounded(1.0, gt=0.0, le=1.0)  # of the length of all vectors at each batch, before skip-gram goes on
    warm: bool = True  # whether learning goes on; otherwise each batch starts anew, on all events so far
    epochs_anew: int = bounded(20, ge=1)  # of the network, where each batch starts anew


@dataclass(frozen=True, kw_only=True)
class Online(Following):
    """How links are learned from a stream."""

    hidden: int = bounded(128, ge=1)  # width of the network
    learning_rate: float = bounded(0.05, gt=0.0)  # of the network
    rows: int = bounded(1024, ge=1)  # pairs a training step


@dataclass(frozen=True, kw_only=True)
class OnlineNodes(Following):
    """How classes of nodes are learned from a stream; network and optimiser are those of the paper's code."""

    walks: WalkVectors = field(default_factory=lambda: NODE_WALKS)
    hidden: tuple[int, ...] = (256, 128)  # widths of the network
    dropout: float = bounded(0.1, ge=0.0, lt=1.0)
    learning_rate: float = bounded(0.0005, gt=0.0)  # of Adam
    weight_decay: float = bounded(0.001, ge=0.0)
    rows: int = bounded(16, ge=1)  # nodes a training step
    held_out: float = bounded(0.4, gt=0.0, lt=1.0)  # share of the labels that are scored and never learned from
