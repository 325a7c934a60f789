"""Softmax and sums over edges against a loop over nodes, and their gradients against numerical ones."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.graph import CSR
from gossamer.nn.attention import edge_logits, edge_softmax
from tests.nn.graphs import random_graph


def loop_softmax(csr, logits):
    out = torch.zeros_like(logits)
    for start, end in zip(csr.indptr.tolist()[:-1], csr.indptr.tolist()[1:], strict=True):
        out[start:end] = torch.softmax(logits[start:end], 0)
    return out


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 6), max_size=9),
    heads=st.integers(1, 3),
    scale=st.sampled_from([1.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_softmax_is_that_of_each_row_alone(counts, heads, scale, seed):
    indptr = torch.tensor([0, *counts]).cumsum(0)
    edges = int(indptr[-1])
    csr = CSR(indptr, torch.zeros(edges, dtype=torch.int64), shape=(len(counts), 1))
    logits = scale * torch.randn(edges, heads, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(edge_softmax(csr, logits), loop_softmax(csr, logits))


def test_softmax_gradient_is_the_numerical_one():
    csr = random_graph().adjacency
    logits = torch.randn(csr.nnz, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda one: edge_softmax(csr, one), (logits,))


def test_logits_add_the_two_ends():
    csr = random_graph().adjacency
    source, target = torch.randn(2, csr.shape[0], 3)
    expected = [source[column] + target[row] for row, column in zip(csr.rows, csr.indices.long(), strict=True)]
    assert torch.equal(edge_logits(csr, source, target), torch.stack(expected))


def test_logits_gradients_are_the_numerical_ones():
    csr = random_graph().adjacency
    ends = torch.randn(2, csr.shape[0], 2, dtype=torch.float64).unbind()
    ends = tuple(end.clone().requires_grad_() for end in ends)
    assert torch.autograd.gradcheck(lambda source, target: edge_logits(csr, source, target), ends)
