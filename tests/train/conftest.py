from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after every step would wait for the disk for minutes; no test here pulls the plug."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
