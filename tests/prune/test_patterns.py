from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gossamer.errors import ModelError, SettingError
from gossamer.prune import HardMasks, Patterns
from gossamer.prune.allocation import Uniform
from gossamer.prune.masks import Masks, choose, weights_for
from gossamer.prune.patterns import kernel_patterns
from gossamer.prune.schedules import Cubic
from tests.battery.networks import NETWORKS
from tests.prune.toy import train


def test_the_patterns_keep_the_centre_and_four_more_and_are_closed_under_symmetry() -> None:
    patterns = kernel_patterns().view(-1, 3, 3)
    known = {tuple(pattern.flatten().tolist()) for pattern in patterns}
    assert len(known) == 14
    assert patterns[:, 1, 1].all()
    assert patterns.sum((1, 2)).eq(5).all()
    for pattern in patterns:
        for turned in (pattern.rot90(), pattern.flip(0), pattern.T):
            assert tuple(turned.flatten().tolist()) in known


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_each_kernel_gets_the_pattern_that_leaves_the_most(outputs: int, inputs: int, seed: int) -> None:
    layer = nn.Conv2d(inputs, outputs, 3)
    scores = torch.rand(outputs, inputs, 3, 3, generator=torch.Generator().manual_seed(seed))
    weights = weights_for(Patterns(), layer, None, ("*",), ())  # type: ignore[arg-type]
    (mask,) = choose(
        Masks(weights), {"weight": scores}, granularity=Patterns(), allocation=Uniform(), sparsity=0.4444
    ).values()
    for kernel, kept in zip(scores.view(-1, 9), mask.reshape(-1, 9), strict=True):
        assert any(torch.equal(kept, pattern) for pattern in kernel_patterns())
        best = max(float(kernel[pattern].sum()) for pattern in kernel_patterns())
        assert float(kernel[kept].sum()) == pytest.approx(best)


def test_only_three_by_three_convolutions_are_pruned() -> None:
    (mlp, cnn) = (network for network in NETWORKS if network.name in ("mlp", "cnn"))
    method = HardMasks(granularity=Patterns(), sparsity=0.4444, schedule=Cubic(every=0.2))
    run = method.start(cnn.model(), cnn.task(), epochs=3)
    model = train(run, cnn.task())
    zeros = {name: float((value == 0).float().mean()) for name, value in model.named_parameters() if value.dim() > 1}
    assert zeros == pytest.approx({"0.weight": 4 / 9, "3.weight": 4 / 9, "6.weight": 0.0}, abs=0.02)
    with pytest.raises(ModelError, match=r"'patterns' suits no weight of this model; it has: 1\.weight"):
        method.start(mlp.model(), mlp.task(), epochs=3)


def test_another_sparsity_is_refused() -> None:
    with pytest.raises(SettingError, match=r"sparsity is 0\.9; keeping five weights of nine"):
        HardMasks(granularity=Patterns(), sparsity=0.9)
