from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.kernels.skipgram import Pass, alias_table, aligned_rows, train_skipgram_, train_skipgram_reference_


def make(width, *, negatives=5, window=3, keep=True, nodes=30, count=40, length=8):
    random = torch.Generator().manual_seed(width)
    walks = torch.randint(-1, nodes, (count, length), generator=random)
    vectors, contexts = torch.randn(2, nodes, width, generator=random) * 0.3
    kept = torch.rand(nodes, generator=random) * 0.5 + 0.5 if keep else None
    noise = alias_table(np.arange(1, nodes + 1) ** 0.75)
    work = Pass(walks, kept, noise, window, negatives, 0.05, 0.001, 10, 1000, 77, 1)
    return aligned_rows(vectors), aligned_rows(contexts), work


def train(parts, call=train_skipgram_):
    vectors, contexts = parts[0].clone(), parts[1].clone()
    vectors, contexts = aligned_rows(vectors), aligned_rows(contexts)
    call(vectors, contexts, parts[2])
    return vectors, contexts


@pytest.mark.parametrize("width", [1, 8, 16, 20, 64, 256])
@pytest.mark.parametrize("negatives", [1, 5, 7, 20])
def test_native_equals_reference(isa, width, negatives):
    parts = make(width, negatives=negatives, keep=width != 16)
    got, expected = train(parts), train(parts, train_skipgram_reference_)
    for one, other, before in zip(got, expected, parts[:2], strict=True):
        torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-5)
        assert (one - before).abs().max() > 0.01
        assert one[:, width:].count_nonzero() == 0


def test_one_pair_by_hand(isa):
    # One walk (0, 1): each predicts the other; the only noise node is 2, and nothing is subsampled.
    vectors = aligned_rows(torch.tensor([[1.0], [2.0], [0.0]]))
    contexts = aligned_rows(torch.tensor([[0.5], [-1.0], [3.0]]))
    work = Pass(torch.tensor([[0, 1]]), None, alias_table(np.array([0.0, 0.0, 1.0])), 1, 1, 0.1, 0.1, 0, 1, 0, 1)
    train_skipgram_(vectors, contexts, work)
    v, u = [1.0, 2.0, 0.0], [0.5, -1.0, 3.0]
    for centre, other in ((0, 1), (1, 0)):
        gain = 0.1 * (1 - 1 / (1 + np.exp(-u[centre] * v[other])))
        loss = 0.1 * (0 - 1 / (1 + np.exp(-u[2] * v[other])))
        step = gain * u[centre] + loss * u[2]
        u[centre] += gain * v[other]
        u[2] += loss * v[other]
        v[other] += step
    np.testing.assert_allclose(vectors[:, 0].numpy(), v, rtol=1e-5)
    np.testing.assert_allclose(contexts[:, 0].numpy(), u, rtol=1e-5)


def test_a_noise_node_that_is_the_centre_does_nothing(isa):
    vectors, contexts = aligned_rows(torch.ones(2, 4)), aligned_rows(torch.zeros(2, 4))
    noise = alias_table(np.array([1.0, 0.0]))
    train_skipgram_(vectors, contexts, Pass(torch.tensor([[0, 1]]), None, noise, 1, 3, 0.1, 0.1, 0, 1, 0, 1))
    # Centre 0 with other 1: three noise nodes that are 0. Centre 1 with other 0: three real ones.
    assert contexts[0, 0] < 0
    np.testing.assert_allclose(contexts[1, 0].item(), 0.1 * 0.5, rtol=1e-5)


def test_extreme_dot_products_stay_finite(isa):
    vectors, contexts = aligned_rows(torch.full((3, 16), 1e3)), aligned_rows(torch.full((3, 16), -1e3))
    work = Pass(torch.tensor([[0, 1, 2]]), None, alias_table(np.ones(3)), 2, 5, 0.1, 0.1, 0, 1, 0, 1)
    train_skipgram_(vectors, contexts, work)
    assert torch.isfinite(vectors).all()
    assert torch.isfinite(contexts).all()


def test_threads_share_the_work():
    parts = make(32, count=400)
    one = train(parts)
    torch.set_num_threads(2)
    two = train((parts[0], parts[1], Pass(**{**vars(parts[2]), "threads": 2})))
    assert torch.isfinite(two[0]).all()
    # The same pairs are trained on, in another order.
    moved = (one[0] - parts[0]).flatten(), (two[0] - parts[0]).flatten()
    assert torch.nn.functional.cosine_similarity(*moved, dim=0) > 0.95


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12).filter(lambda w: sum(w) > 1e-3))
def test_the_alias_table_holds_the_distribution(weights):
    table = alias_table(np.array(weights)).numpy().view(np.uint64)
    threshold, alias = (table >> np.uint64(32)).astype(float) / 2**32, (table & np.uint64(0xFFFFFFFF)).astype(int)
    share = np.zeros(len(weights))
    np.add.at(share, np.arange(len(weights)), threshold)
    np.add.at(share, alias, 1 - threshold)
    np.testing.assert_allclose(share / len(weights), np.array(weights) / sum(weights), atol=1e-8)


def test_a_node_without_a_vector_is_an_error():
    parts = make(8)
    work = Pass(**{**vars(parts[2]), "walks": torch.tensor([[0, 30]])})
    for call in (train_skipgram_, train_skipgram_reference_):
        with pytest.raises(DataError, match=r"walks: hold a node outside \[0, 30\)"):
            call(parts[0], parts[1], work)


def test_without_native_kernels_training_goes_on(monkeypatch):
    parts = make(8, count=5)
    expected = train(parts, train_skipgram_reference_)
    monkeypatch.setattr(native, "kernels", lambda: None)
    assert all(map(torch.equal, train(parts), expected))
