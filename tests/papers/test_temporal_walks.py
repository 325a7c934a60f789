from __future__ import annotations

from pathlib import Path

import torch

from gossamer.papers import Pair, Run
from gossamer.papers.temporal_walks import CLAIMS, Setup, experiment, followed

TINY = Setup(data=("talk",), online="talk", batches=3, epochs=1)


def run(folder: Path) -> Run:
    torch.manual_seed(0)
    return Run(seed=0, folder=folder, say=lambda text: None)


def test_a_seed_gives_the_same_again_but_for_times(tmp_path: Path) -> None:
    once, again = (dict(experiment(TINY, run(tmp_path / folder))) for folder in "ab")
    assert set(once) == {claim.id for claim in CLAIMS}
    for claim in CLAIMS:
        assert isinstance(once[claim.id], Pair)
        assert claim.metric.startswith("seconds") or once[claim.id] == again[claim.id]


def test_both_ways_of_following_score_every_event(tmp_path: Path) -> None:
    for warm in (True, False):
        result = followed(TINY, run(tmp_path), warm=warm)
        assert (result.events, len(result.scores)) == (20_000, 3)
