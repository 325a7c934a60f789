"""Chains against the layer whose weight is their product, and their sizes against the formulas of the forms."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer.counting import count_macs
from gossamer.errors import ModelError
from gossamer.graph import CSR, csbm
from gossamer.nn import Factorized, GCNConv, Linear
from gossamer.nn.factorized import FORMS
from gossamer.nn.pyg import adopt


def filled(layer: nn.Module, form: str, ranks: tuple[int, ...]) -> Factorized:
    chain = Factorized.like(layer, form, ranks)
    generator = torch.Generator().manual_seed(0)
    for parameter in chain.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return chain


def multiplied_out(layer: nn.Module, chain: Factorized) -> nn.Module:
    whole = copy.deepcopy(layer)
    whole.weight.data = chain.weight.detach()
    if layer.bias is not None:
        whole.bias.data = chain.bias.detach()
    return whole


def ranks_of(form: str, axes: int = 2) -> tuple[int, ...]:
    return {"tucker": (3, 2), "train": (3, 2, 4, 2)[: axes + 1]}.get(form, (3,))


KERNELS = {
    "plain": {"kernel_size": 3},
    "stride": {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 2), "bias": False},
    "dilation": {"kernel_size": (2, 3), "dilation": (2, 1), "padding": 1},
    "same": {"kernel_size": (3, 5), "padding": "same"},
    "reflect": {"kernel_size": 3, "padding": (1, 2), "padding_mode": "reflect"},
    "circular": {"kernel_size": (3, 5), "padding": (1, 2), "stride": 2, "padding_mode": "circular"},
    "point": {"kernel_size": 1},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("settings", KERNELS.values(), ids=KERNELS)
def test_a_chain_computes_what_its_product_does(form: str, settings: dict) -> None:
    layer = nn.Conv2d(4, 5, **settings)
    chain = filled(layer, form, ranks_of(form))
    x = torch.randn(2, 4, 9, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(chain(x), multiplied_out(layer, chain)(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "separable"])
@pytest.mark.parametrize("axes", [1, 3])
def test_kernels_of_other_dimensions(form: str, axes: int) -> None:
    kind = nn.Conv1d if axes == 1 else nn.Conv3d
    layer = kind(3, 4, 3, stride=2, padding=1)
    chain = filled(layer, form, ranks_of(form, axes))
    x = torch.randn(2, 3, *[6] * axes, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(chain(x), multiplied_out(layer, chain)(x), rtol=1e-4, atol=1e-4)


def test_a_linear_chain_takes_sparse_features_where_its_layer_did() -> None:
    chain = filled(Linear(6, 4), "matrix", (2,))
    x = torch.randn(5, 6).relu()
    torch.testing.assert_close(chain(CSR.from_dense(x)), chain(x))
    assert [type(part) for part in filled(nn.Linear(6, 4), "matrix", (2,))] == [nn.Linear, nn.Linear]


@given(
    outputs=st.integers(1, 6),
    inputs=st.integers(1, 6),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    rank=st.integers(1, 5),
    other=st.integers(1, 5),
)
def test_weights_are_as_many_as_the_forms_say(
    outputs: int, inputs: int, kernel: tuple[int, int], rank: int, other: int
) -> None:
    layer = nn.Conv2d(inputs, outputs, kernel, bias=False)
    height, width = kernel
    size = height * width
    expected = {
        "matrix": rank * (inputs * size + outputs),
        "inputs": rank * (inputs + outputs * size),
        "separable": rank * (inputs * height + width * outputs),
        "tucker": inputs * rank + size * rank * other + outputs * other,
        "cp": rank * (inputs + height + width + outputs),
        "train": inputs * rank + rank * height * other + other * width * 2 + 2 * outputs,
    }
    for form, count in expected.items():
        chain = Factorized.like(layer, form, {"tucker": (rank, other), "train": (rank, other, 2)}.get(form, (rank,)))
        assert sum(parameter.numel() for parameter in chain.parameters()) == count
        assert chain.weight.shape == layer.weight.shape


def test_a_network_may_go_on_asking_for_sizes_mode_and_type() -> None:
    layer = nn.Conv2d(3, 4, 3, stride=2, padding="valid").double().eval().requires_grad_(False)
    chain = Factorized.like(layer, "tucker", (2, 2))
    assert (chain.in_channels, chain.out_channels, chain.stride, chain.padding) == (3, 4, (2, 2), "valid")
    assert not any(part.training for part in chain)
    assert all(p.dtype == torch.float64 and not p.requires_grad and not p.any() for p in chain.parameters())
    linear = Factorized.like(nn.Linear(3, 5), "matrix", (2,))
    assert (linear.in_features, linear.out_features) == (3, 5)


def test_an_encoder_layer_reads_the_weight_on_its_fast_path() -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    chain = filled(encoder.linear1, "matrix", (3,))
    x = torch.randn(2, 3, 8)
    encoder.linear1 = multiplied_out(encoder.linear1, chain)
    with torch.no_grad():
        expected = encoder(x)
        encoder.linear1 = chain
        torch.testing.assert_close(encoder(x), expected, rtol=1e-4, atol=1e-4)


def test_making_a_chain_uses_no_chance() -> None:
    state = torch.get_rng_state()
    Factorized.like(nn.Conv2d(3, 4, 3), "cp", (2,))
    assert not torch.equal(state, torch.get_rng_state())  # the layer took some
    layer, state = nn.Conv2d(3, 4, 3), torch.get_rng_state()
    Factorized.like(layer, "cp", (2,))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("layer", "form", "ranks", "message"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), "tucker", (1, 1), "2 groups"),
        (nn.Conv1d(4, 4, 3), "separable", (1,), "1 axes"),
        (nn.Linear(4, 4), "cp", (1,), "no kernel"),
        (nn.ReLU(), "matrix", (1,), "no linear layer"),
        (nn.Linear(4, 4), "matrx", (1,), "did you mean 'matrix'"),
        (nn.Conv2d(4, 4, 3), "tucker", (1,), "2 ranks of at least 1"),
        (nn.Conv1d(4, 4, 3), "train", (1, 1, 1), "2 ranks of at least 1"),
        (nn.Linear(4, 4), "matrix", (0,), "at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(layer: nn.Module, form: str, ranks: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Factorized.like(layer, form, ranks)


def test_the_product_has_a_gradient() -> None:
    chain = filled(nn.Conv2d(3, 4, 3), "cp", (2,))
    total: Tensor = chain.weight.sum()
    total.backward()
    assert all(part.weight.grad is not None and math.isfinite(part.weight.grad.sum()) for part in chain)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(9, 6), (6, 9)])
def test_a_graph_layer_sums_between_the_factors(inputs: int, outputs: int, sparse: bool) -> None:
    """The same result as with the product of the factors, with a sum over neighbours as wide as the rank."""
    graph = csbm(30, 3, inputs, seed=0)
    layer = GCNConv(inputs, outputs)
    layer.bias.data.normal_()
    chain = filled(layer.linear, "matrix", (2,))
    layer.linear = multiplied_out(layer.linear, chain)
    x = torch.randn(30, inputs).relu()
    given = CSR.from_dense(x) if sparse else x
    with torch.no_grad():
        expected = layer(given, graph)
        layer.linear = chain
        torch.testing.assert_close(layer(given, graph), expected, rtol=1e-4, atol=1e-4)
    edges = graph.add_self_loops().num_edges
    first = given.nnz * 2 if sparse else 30 * inputs * 2
    assert count_macs(layer, (given, graph)).total == first + edges * 2 + 30 * 2 * outputs


@pytest.mark.parametrize(("inputs", "outputs"), [(9, 6), (6, 9), (3, 3)])
def test_a_layer_of_pyg_and_its_stand_in_agree_on_a_chain(inputs: int, outputs: int) -> None:
    from torch_geometric.nn import GCNConv as Theirs

    graph = csbm(30, 3, inputs, seed=0)
    layer = Theirs(inputs, outputs)
    layer.bias.data.normal_()
    layer.lin = filled(layer.lin, "matrix", (2,))
    x, edges = torch.randn(30, inputs), graph.to_edge_index()
    edges = edges[0] if isinstance(edges, tuple) else edges
    with torch.no_grad():
        torch.testing.assert_close(adopt(layer)(x, edges), layer(x, edges), rtol=1e-4, atol=1e-4)
