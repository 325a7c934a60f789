"""The pieces of the survey's experiment: networks of a size, images turned, filters that do not mind."""

import pytest
import torch

from gossamer.compression import compress, method
from gossamer.papers.cnn_compression_survey import (
    WAYS,
    Setup,
    at_rate,
    convolutional,
    invariant,
    narrowed,
    part_of,
)
from gossamer.tasks import datasets
from gossamer.train import Training

SETUP = Setup(data="digits", images=100, test_images=60, shrink=1, widths=(8, 16), hidden=16)


@pytest.fixture(scope="module")
def task():
    return part_of(datasets.task("digits"), SETUP, SETUP.images)


@pytest.mark.parametrize("rate", [2, 4, 8])
def test_a_narrow_network_is_a_part_of_the_whole(rate, task):
    def parameters(widths, hidden):
        return sum(one.numel() for one in convolutional(task, widths, hidden).parameters())

    small = parameters(*narrowed(task, (16, 32), 64, rate))
    assert 1.0 <= rate * small / parameters((16, 32), 64) < 1.2


def test_images_come_turned_by_quarters_and_always_alike(task):
    def turned():
        return part_of(datasets.task("digits"), SETUP, 50, turned=torch.Generator().manual_seed(0))

    plain = part_of(datasets.task("digits"), SETUP, 50)
    for (x, y), (other, same), (again, _) in zip(
        plain.batches("test"), turned().batches("test"), turned().batches("test"), strict=True
    ):
        assert torch.equal(y, same)
        assert torch.equal(other, again)
        before, after = x * plain._std + plain._mean, other * turned()._std + turned()._mean
        near = torch.stack(
            [torch.isclose(torch.rot90(before, q, (2, 3)), after, atol=1e-4).all((1, 2, 3)) for q in range(4)]
        )
        assert bool(near.any(0).all())
        assert bool((near.sum(1) > 0).all()), "all four turns occur"


def test_filters_shared_over_turns_do_not_mind_them(task):
    torch.manual_seed(0)
    x = next(task.batches("test"))[0]
    free, plain = (invariant(task, 6, 2, turned=turned).eval() for turned in (True, False))
    for quarters in (1, 2, 3):
        torch.testing.assert_close(free(torch.rot90(x, quarters, (2, 3))), free(x), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain(torch.rot90(x, 1, (2, 3))), plain(x), atol=1e-3)
    weights = [sum(p.numel() for p in network.parameters() if p.dim() == 4) for network in (free, plain)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("way", ["magnitude-filters", "tucker"])
def test_a_way_reaches_its_rate(way, task):
    assert way in WAYS
    torch.manual_seed(0)
    network = convolutional(task, (16, 32), 64)
    result = compress(
        network, task, at_rate(way, 4), training=Training(epochs=0), latency=False, accelerate=False, progress=False
    )
    weights = sum(int(p.count_nonzero()) for p in result.model.parameters() if p.dim() > 1)
    whole = sum(p.numel() for p in network.parameters() if p.dim() > 1)
    assert weights <= 1.1 * whole / 4 + network[-1].weight.numel()  # no filter of the answers is removed


def test_a_codebook_reaches_its_bits(task):
    torch.manual_seed(0)
    network = convolutional(task, (16, 32), 64)
    small = compress(
        network,
        task,
        method("codebook", sparsity=1 - 1 / 16, at=0.0),
        training=Training(epochs=0),
        latency=False,
        accelerate=False,
        progress=False,
    )
    assert all(len(p.unique()) <= 4 for p in small.model.parameters() if p.dim() > 1)
