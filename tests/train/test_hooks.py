from __future__ import annotations

import inspect

import torch

from gossamer.compression.method import Compression
from gossamer.train import Hooks
from gossamer.train.hooks import NoHooks

PLACES = [name for name in vars(Hooks) if not name.startswith("_")]


def test_a_compression_can_be_trained_by_fit() -> None:
    hooks: Hooks = Compression(torch.nn.Linear(1, 1), epochs=1)
    for name in PLACES:
        assert type(inspect.getattr_static(hooks, name)) is type(inspect.getattr_static(Hooks, name))
        if name != "settled":
            theirs, ours = (inspect.signature(getattr(kind, name)) for kind in (Compression, Hooks))
            assert list(theirs.parameters) == list(ours.parameters)


def test_no_hooks_do_nothing() -> None:
    hooks: Hooks = NoHooks()
    assert len(PLACES) == 9
    hooks.after_loss(torch.tensor(1.0))
    assert hooks.settled
    assert hooks.penalty() is None
    assert hooks.training_cost() == 3.0
    assert hooks.state_dict() == {}
