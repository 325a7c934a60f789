"""Multiply-accumulates against closed forms and against torch's own counter."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torch_geometric.nn import GCNConv as PyGConv

from gossamer.counting import count_macs
from gossamer.graph import CSR, Graph
from gossamer.nn import GCNConv, Linear, SparseLinear

N, E = 30, 80


def edges() -> torch.Tensor:
    return torch.randint(0, N, (2, E), generator=torch.Generator().manual_seed(0))


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(32, 96)

    def forward(self, x):
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, 4, 8).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v)


CASES = {
    "linear": (nn.Linear(20, 30), (torch.ones(7, 20),), 7 * 20 * 30),
    "linear, three dimensions": (nn.Linear(20, 30, bias=False), (torch.ones(2, 7, 20),), 2 * 7 * 20 * 30),
    "vector": (nn.Linear(20, 30), (torch.ones(20),), 20 * 30),
    "convolution": (nn.Conv2d(3, 8, 3, stride=2, padding=1), (torch.ones(2, 3, 9, 9),), 2 * 25 * 8 * 27),
    "grouped": (nn.Conv2d(6, 12, 3, groups=3), (torch.ones(1, 6, 5, 5),), 9 * 12 * 2 * 9),
    "depthwise, dilated": (nn.Conv2d(4, 4, 3, groups=4, dilation=2), (torch.ones(1, 4, 7, 7),), 9 * 4 * 9),
    "one dimension": (nn.Conv1d(4, 5, 3), (torch.ones(2, 4, 10),), 2 * 8 * 5 * 12),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2), (torch.ones(1, 4, 5, 5),), 25 * 4 * 6 * 9),
    "bilinear": (nn.Bilinear(3, 4, 5), (torch.ones(2, 3), torch.ones(2, 4)), 2 * 3 * 4 * 5),
    "attention": (Attention(), (torch.ones(2, 10, 32),), 2 * 10 * 32 * 96 + 2 * 4 * 10 * 10 * (8 + 8)),
    "multi-head attention": (
        nn.MultiheadAttention(16, 2, batch_first=True),
        (torch.ones(3, 5, 16),) * 3,
        3 * 5 * 16 * 16 * 4 + 3 * 2 * 5 * 5 * (8 + 8),
    ),
    "lstm": (nn.LSTM(4, 5), (torch.ones(3, 2, 4),), 3 * 2 * (4 * 20 + 5 * 20)),
    "gru": (nn.GRU(4, 5, batch_first=True), (torch.ones(2, 3, 4),), 3 * 2 * (4 * 15 + 5 * 15)),
    "einsum": (
        Lambda(lambda a, b: torch.einsum("bij,jk->bik", a, b)),
        (torch.ones(2, 3, 4), torch.ones(4, 5)),
        120,
    ),
    "dot": (Lambda(torch.dot), (torch.ones(9), torch.ones(9)), 9),
    "outer": (Lambda(torch.addr), (torch.ones(3, 4), torch.ones(3), torch.ones(4)), 12),
    "sparse csr": (Lambda(torch.mm), (torch.eye(6).to_sparse(), torch.ones(6, 5)), 6 * 5),
    "embedding bag": (nn.EmbeddingBag(10, 3), (torch.zeros(2, 4, dtype=torch.long),), 8 * 3),
    "index add": (
        Lambda(lambda x, i: torch.zeros(4, 3).index_add_(0, i, x)),
        (torch.ones(7, 3), torch.zeros(7, dtype=torch.long)),
        21,
    ),
    "accumulating put": (
        Lambda(lambda x, i: torch.zeros(4, 3).index_put_((i,), x, accumulate=True)),
        (torch.ones(7, 3), torch.zeros(7, dtype=torch.long)),
        21,
    ),
    "plain put": (
        Lambda(lambda x, i: torch.zeros(7, 3).index_put_((i,), x)),
        (torch.ones(7, 3), torch.arange(7)),
        0,
    ),
    "elementwise": (Lambda(lambda x: (x * x + 1).relu().sum()), (torch.ones(5, 5),), 0),
}


@pytest.mark.parametrize("case", CASES)
def test_closed_forms(case):
    model, example, expected = CASES[case]
    assert count_macs(model, example).total == expected


@pytest.mark.parametrize("case", ["linear", "convolution", "grouped", "transposed", "einsum", "one dimension"])
def test_torch_counts_the_same(case):
    model, example, _ = CASES[case]
    with FlopCounterMode(display=False) as theirs, torch.no_grad():
        model(*example)
    assert 2 * count_macs(model, example).total == theirs.get_total_flops()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)),
    st.fixed_dictionaries({"stride": st.integers(1, 3), "padding": st.integers(0, 2), "dilation": st.integers(1, 2)}),
    st.integers(1, 3),
)
def test_any_convolution_counts_as_torch_does(groups, sizes, options, images):
    layer = nn.Conv2d(sizes[0] * groups, sizes[1] * groups, sizes[2], groups=groups, **options)
    x = torch.ones(images, sizes[0] * groups, 7, 9)
    with FlopCounterMode(display=False) as theirs, torch.no_grad():
        layer(x)
    assert 2 * count_macs(layer, (x,)).total == theirs.get_total_flops()


def test_inference_mode_hides_nothing():
    linear = nn.Linear(20, 30)

    def call(x):
        with torch.inference_mode():
            return linear(x)

    assert count_macs(Lambda(call), (torch.ones(7, 20),)).total == 7 * 20 * 30


def test_graph_convolution_multiplies_and_then_sums_over_edges():
    graph = Graph.from_edge_index(edges(), num_nodes=N)
    entries = graph.add_self_loops().num_edges
    total = count_macs(GCNConv(12, 4), (torch.ones(N, 12), graph)).total
    assert total == N * 12 * 4 + entries * 4


def test_pyg_layers_are_counted_where_they_run():
    profile = count_macs(Lambda(PyGConv(12, 4)), (torch.ones(N, 12), edges()))
    loops = int((edges()[0] == edges()[1]).sum())
    entries = E - loops + N
    assert profile.by_module["function.lin"] == N * 12 * 4
    # the sum over messages and, in the normalisation, the sum of the weights into degrees
    assert profile.by_module["function.aggr_module"] == entries * 4
    assert profile.by_module["function"] == entries


def test_sparse_inputs_and_weights_count_their_nonzeros():
    x = torch.zeros(5, 20)
    x[0, 3] = x[4, 7] = x[2, 2] = 1.0
    assert count_macs(Linear(20, 6), (CSR.from_dense(x),)).total == 3 * 6
    dense = nn.Linear(20, 6)
    with torch.no_grad():
        dense.weight[:, 3:] = 0.0
    assert count_macs(SparseLinear.from_dense(dense), (torch.ones(5, 20),)).total == 5 * 6 * 3


def test_products_are_given_to_the_innermost_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
            self.scale = nn.Parameter(torch.ones(4, 4))

        def forward(self, x):
            return self.block(self.block(x)) @ self.scale

    profile = count_macs(Net(), (torch.ones(3, 4),))
    assert profile.by_module == {"block.0": 2 * 48, "": 48}
    assert profile.by_operator == {"aten.addmm": 96, "aten.mm": 48}
    assert profile.total == sum(profile.by_operator.values())
    assert profile.input_shapes["block.0"] == (3, 4)


def test_a_failing_call_leaves_no_hooks_and_the_mode_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Linear(5, 5))
    fast = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(RuntimeError):
        count_macs(model, (torch.ones(3, 4),))
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_peak_memory_follows_what_is_alive():
    def call(x):
        a = x + 1  # 400 bytes
        b = a + 1  # 800
        del a
        c = b + 1  # 800 again
        view = c.view(50, 2)  # no memory of its own
        del c
        view.add_(1)
        return view.sum() + b.sum()

    x = torch.ones(100)
    # at most two vectors at once, beside one sum or both sums and their total
    assert count_macs(Lambda(call), (x,)).peak_bytes == 800 + 3 * 4


def test_memory_returned_is_counted_and_inputs_are_not():
    assert count_macs(Lambda(lambda x: x), (torch.ones(1000),)).peak_bytes == 0
    assert count_macs(Lambda(lambda x: [x + 1, x + 2]), (torch.ones(1000),)).peak_bytes == 8000


@pytest.mark.parametrize(("length", "rows"), [(8, 3), (64, 5)])
def test_fourier_transforms_are_butterflies(length, rows):
    butterflies = rows * length // 2 * (length.bit_length() - 1)
    z, x = torch.zeros(rows, length, dtype=torch.complex64), torch.zeros(rows, length)
    assert count_macs(Lambda(torch.fft.fft), (z,)).total == 5 * butterflies
    assert count_macs(Lambda(torch.fft.rfft), (x,)).total == pytest.approx(2.5 * butterflies, abs=1)
    half = torch.zeros(rows, length // 2 + 1, dtype=torch.complex64)
    assert count_macs(Lambda(lambda z: torch.fft.irfft(z, n=length)), (half,)).total == pytest.approx(
        2.5 * butterflies, abs=1
    )
    square = torch.zeros(2, 8, 8, dtype=torch.complex64)
    assert count_macs(Lambda(torch.fft.fft2), (square,)).total == 2 * 5 * 64 // 2 * 6


def test_a_complex_product_is_four_real_ones():
    a = torch.zeros(3, 4, dtype=torch.complex64)
    assert count_macs(Lambda(lambda a: a @ a.T), (a,)).total == 4 * 3 * 4 * 3
