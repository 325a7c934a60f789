"""Every decomposition against laws and closed forms: exact at full rank, errors as promised, monotone in the rank."""

from __future__ import annotations

import copy
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gossamer.errors import ModelError
from gossamer.factorize import CP, SVD, Channels, Decomposition, Spatial, TensorTrain, Tucker, WhitenedSVD
from gossamer.factorize.cp import rebuilt
from gossamer.factorize.decomposition import split, tail

EXACT: list[Decomposition] = [
    SVD(),
    WhitenedSVD(),
    Spatial(),
    Channels(order="inputs"),
    Channels(order="outputs"),
    Tucker(),
    Tucker(iterations=0),
    TensorTrain(),
]
LAYERS = {
    "wide": lambda: nn.Conv2d(6, 4, (3, 2), stride=(2, 1), padding=1),
    "tall": lambda: nn.Conv2d(2, 20, 3, dilation=2, bias=False),
    "linear": lambda: nn.Linear(7, 5),
    "line": lambda: nn.Conv1d(4, 6, 3, padding="same"),
}


def seeded(make) -> nn.Module:
    torch.manual_seed(0)
    return make()


def inputs_for(layer: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if isinstance(layer, nn.Linear):
        return torch.randn(9, layer.in_features, generator=generator)
    return torch.randn(2, layer.in_channels, *[9] * (layer.weight.dim() - 2), generator=generator)


def products_for(layer: nn.Module, seed: int = 2, directions: int | None = None) -> Tensor:
    size = layer.weight[0].numel()
    x = torch.randn(directions or 3 * size, size, generator=torch.Generator().manual_seed(seed)).double()
    return x.T @ x


def squared_error(how: Decomposition, layer: nn.Module, *ranks: int, products: Tensor | None = None) -> float:
    chain = how.factorize(layer, *ranks, products=products)
    lost = (layer.weight - chain.weight).detach().double().flatten(1)
    return float((lost @ products @ lost.T).trace() if products is not None else lost.square().sum())


@pytest.mark.parametrize("how", EXACT, ids=lambda how: f"{how.name}-{how.form}")
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_full_rank_is_exact_and_more_is_full(how: Decomposition, make) -> None:
    layer = seeded(make)
    if (how.form == "separable" and layer.weight.dim() != 4) or (how.form != "matrix" and layer.weight.dim() == 2):
        with pytest.raises(ModelError, match="cannot take the form"):
            how.factorize(layer, *[1] * len(how.full((4, 4, 3, 3))))
        return
    before = copy.deepcopy(layer.state_dict())
    full = how.full(tuple(layer.weight.shape))
    chain = how.factorize(layer, *(rank + 3 for rank in full), products=products_for(layer))
    assert chain.ranks == full
    x = inputs_for(layer)
    torch.testing.assert_close(chain(x), layer(x), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@given(outputs=st.integers(1, 6), inputs=st.integers(1, 8), seed=st.integers(0, 1000), data=st.data())
def test_svd_loses_the_tail_of_the_singular_values(outputs: int, inputs: int, seed: int, data) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(inputs, outputs)
    rank = data.draw(st.integers(1, min(outputs, inputs)))
    values = np.linalg.svd(layer.weight.detach().double().numpy(), compute_uv=False)
    expected = (values[rank:] ** 2).sum()
    assert squared_error(SVD(), layer, rank) == pytest.approx(expected, rel=1e-4, abs=1e-10)
    assert float(SVD().tails(layer.weight.detach().double())[0][rank]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("how", EXACT[2:5], ids=lambda how: f"{how.name}-{how.form}")
def test_matrix_forms_lose_the_tail_of_their_unfolding(how: Decomposition) -> None:
    layer = seeded(LAYERS["wide"])
    weight = layer.weight.detach().double()
    # The unfoldings by hand: each index of the one matrix written out.
    n, c, h, w = weight.shape
    entries = {
        "separable": lambda a: a.transpose(1, 2, 3, 0).reshape(c * h, w * n),
        "inputs": lambda a: a.transpose(1, 0, 2, 3).reshape(c, n * h * w),
        "matrix": lambda a: a.reshape(n, c * h * w),
    }
    values = np.linalg.svd(entries[how.form](weight.numpy()), compute_uv=False)
    for rank in range(1, len(values) + 1):
        expected = float((values[rank:] ** 2).sum())
        assert squared_error(how, layer, rank) == pytest.approx(expected, rel=1e-3, abs=1e-9)
        assert float(how.tails(weight)[0][rank]) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(how=st.sampled_from([how for how in EXACT if how.name != "whitened-svd"]), seed=st.integers(0, 1000))
def test_the_error_falls_with_the_rank_and_never_exceeds_what_was_said(how: Decomposition, seed: int) -> None:
    torch.manual_seed(seed)
    layer = nn.Conv2d(3, 5, (2, 3))
    full = how.full((5, 3, 2, 3))
    tails = how.tails(layer.weight.detach().double())
    assert all(bool((tail.diff() <= 1e-12).all()) and float(tail[-1]) == 0.0 for tail in tails)
    before = float(layer.weight.detach().double().square().sum())
    for step in range(1, max(full) + 1):
        ranks = tuple(min(step, most) for most in full)
        error = squared_error(how, layer, *ranks)
        assert error <= before + 1e-6
        assert error <= sum(float(tail[rank]) for tail, rank in zip(tails, ranks, strict=True)) + 1e-6
        before = error


@settings(deadline=None)
@given(seed=st.integers(0, 1000), rank=st.integers(1, 4), directions=st.sampled_from([3, 6, 40]))
def test_whitening_loses_no_more_of_the_outputs(seed: int, rank: int, directions: int) -> None:
    torch.manual_seed(seed)
    layer = nn.Linear(6, 5)
    skew = torch.randn(6, 6).double()
    products = skew @ products_for(layer, seed, directions) @ skew.T
    plain = squared_error(SVD(), layer, rank, products=products)
    aware = WhitenedSVD(damping=0.0)
    error = squared_error(aware, layer, rank, products=products)
    scale = float((layer.weight.detach().double() @ products @ layer.weight.detach().double().T).trace())
    assert error <= plain + 1e-6 * scale
    # The closed form: singular values of W C^(1/2).
    values, vectors = torch.linalg.eigh(products)
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    expected = float(torch.linalg.svdvals(layer.weight.detach().double() @ root)[rank:].square().sum())
    assert error == pytest.approx(expected, rel=1e-3, abs=1e-6 * scale)
    assert float(aware.tails(layer.weight.detach().double(), products)[0][rank]) == pytest.approx(
        expected, abs=1e-8 * scale
    )


def test_whitening_keeps_what_is_used_and_refuses_to_guess() -> None:
    """Of two outputs, the larger reads an input that is always zero: only the smaller one matters."""
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[10.0, 0.0], [0.0, 1.0]])
    products = torch.diag(torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(
        WhitenedSVD().factorize(layer, 1, products=products).weight.detach(), torch.diag(torch.tensor([0.0, 1.0]))
    )
    torch.testing.assert_close(SVD().factorize(layer, 1).weight.detach(), torch.diag(torch.tensor([10.0, 0.0])))
    with pytest.raises(ModelError, match="pass products="):
        WhitenedSVD().factorize(layer, 1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), inner=st.integers(1, 4), outer=st.integers(1, 6))
def test_hooi_is_no_worse_than_hosvd(seed: int, inner: int, outer: int) -> None:
    torch.manual_seed(seed)
    layer = nn.Conv2d(4, 6, 3)
    start = squared_error(Tucker(iterations=0), layer, inner, outer)
    assert squared_error(Tucker(iterations=30, tolerance=0.0), layer, inner, outer) <= start + 1e-6


def test_hooi_ends_where_neither_basis_can_be_better() -> None:
    layer = seeded(lambda: nn.Conv2d(5, 7, 3))
    chain = Tucker(iterations=500, tolerance=0.0).factorize(layer, 2, 3)
    weight = layer.weight.detach().double().numpy()
    inner = cast("Tensor", chain[0].weight).detach().double().numpy()[:, :, 0, 0]  # (2, 5)
    kept = float(chain[1].weight.detach().double().square().sum())
    seen = np.einsum("nchw,rc->nrhw", weight, inner).reshape(7, -1)
    best = (np.linalg.svd(seen, compute_uv=False)[:3] ** 2).sum()
    assert kept == pytest.approx(best, rel=1e-4)


def test_tucker_takes_any_pair_of_ranks() -> None:
    """With one input channel behind a 1x1 kernel there are fewer columns than outputs asked for."""
    chain = Tucker().factorize(seeded(lambda: nn.Conv2d(4, 6, (1, 2))), 1, 6)
    assert chain.weight.shape == (6, 4, 1, 2)


@given(seed=st.integers(0, 1000), data=st.data())
def test_a_train_cuts_one_mode_after_another(seed: int, data: st.DataObject) -> None:
    """TT-SVD by the book, in numpy; and no more is lost than the unfoldings lose together."""
    torch.manual_seed(seed)
    layer = nn.Conv2d(4, 6, (3, 2))
    ranks = tuple(data.draw(st.integers(1, most)) for most in TensorTrain().full(tuple(layer.weight.shape)))
    chain = TensorTrain().factorize(layer, *ranks)
    rest = layer.weight.detach().double().permute(1, 2, 3, 0).numpy()
    whole, cores, before = rest, [], 1
    for mode, rank in zip((4, 3, 2), ranks, strict=True):
        left, values, right = np.linalg.svd(rest.reshape(before * mode, -1), full_matrices=False)
        after = min(rank, len(values))
        cores.append(left[:, :after].reshape(before, mode, after))
        rest, before = values[:after, None] * right[:after], after
    built = np.einsum("aci,ihj,jwk,kn->nchw", *cores, rest)
    torch.testing.assert_close(chain.weight.detach().double().numpy(), built, rtol=1e-3, atol=1e-4)
    lost = float(((built - whole.transpose(3, 0, 1, 2)) ** 2).sum())
    tails = TensorTrain().tails(layer.weight.detach().double())
    assert lost <= sum(float(tail[rank]) for tail, rank in zip(tails, ranks, strict=True)) + 1e-6


def test_cp_recovers_a_tensor_of_its_rank() -> None:
    generator = torch.Generator().manual_seed(3)
    factors = [torch.randn(size, 3, generator=generator, dtype=torch.float64) for size in (6, 5, 3, 3)]
    layer = nn.Conv2d(5, 6, 3)
    layer.weight.data = rebuilt(factors).float()
    chain = CP(iterations=300, tolerance=1e-12).factorize(layer, 3)
    torch.testing.assert_close(chain.weight, layer.weight, rtol=1e-3, atol=1e-3)
    norms = torch.stack([part.weight.detach().flatten(1).norm(dim=1) for part in list(chain)[:-1]])
    last = chain[-1].weight.detach().flatten(1).norm(dim=0)
    torch.testing.assert_close(norms, last.expand_as(norms), rtol=1e-3, atol=1e-3)  # shared equally


def test_cp_of_rank_one_is_the_best_product_of_vectors() -> None:
    """Of a tensor that is one product of vectors plus a little, alternating least squares is the power method."""
    generator = torch.Generator().manual_seed(4)
    vectors = [torch.randn(size, 1, generator=generator, dtype=torch.float64) for size in (4, 3, 2)]
    weight = rebuilt(vectors) + 0.1 * torch.randn(4, 3, 2, generator=generator, dtype=torch.float64)
    layer = nn.Conv1d(3, 4, 2)
    layer.weight.data = weight.float()
    a, b, c = (vector[:, 0].numpy() for vector in vectors)
    for _ in range(100):  # the higher-order power method, written out
        a = np.einsum("abc,b,c->a", weight.numpy(), b, c)
        a /= np.linalg.norm(a)
        b = np.einsum("abc,a,c->b", weight.numpy(), a, c)
        b /= np.linalg.norm(b)
        c = np.einsum("abc,a,b->c", weight.numpy(), a, b)
        size = np.linalg.norm(c)
        c /= size
    expected = size * np.einsum("a,b,c->abc", a, b, c)
    np.testing.assert_allclose(CP(tolerance=1e-14).factorize(layer, 1).weight.detach(), expected, atol=1e-5)


def test_more_starts_and_more_iterations_of_cp_are_no_worse() -> None:
    layer = seeded(lambda: nn.Conv2d(5, 6, 3))
    one = squared_error(CP(iterations=5, restarts=1), layer, 6)
    assert squared_error(CP(iterations=60, restarts=1), layer, 6) <= one + 1e-6
    assert squared_error(CP(iterations=60, restarts=4), layer, 6) <= one + 1e-6


def test_losses_of_cp_fall_from_everything_and_are_near_those_of_fits() -> None:
    layer = seeded(lambda: nn.Conv2d(5, 6, 3))
    weight = layer.weight.detach().double()
    (losses,) = CP().tails(weight)
    (full,) = CP().full((6, 5, 3, 3))
    assert (len(losses), full) == (46, 45)
    assert float(losses[0]) == pytest.approx(float(weight.square().sum()))
    assert bool((losses.diff() <= 0).all())
    for rank in (2, 5, 11):
        fitted = squared_error(CP(), layer, rank)
        assert 0.99 * fitted <= float(losses[rank]) <= 1.6 * fitted


def test_tails_and_split_by_hand() -> None:
    assert tail(torch.tensor([3.0, 2.0, 1.0])).tolist() == [14.0, 5.0, 1.0, 0.0]
    matrix = torch.tensor([[4.0, 0.0], [0.0, 9.0], [0.0, 0.0]])
    left, right = split(torch.eye(3)[:, :2], matrix)
    assert left.tolist() == [[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]]
    assert right.tolist() == [[2.0, 0.0], [0.0, 3.0]]


@pytest.mark.parametrize("how", [*EXACT, CP()], ids=lambda how: f"{how.name}-{how.form}")
def test_weights_and_arithmetic_are_those_of_the_chain(how: Decomposition) -> None:
    from gossamer.counting import count_macs

    layer = nn.Conv2d(3, 4, (3, 5), stride=(2, 3), padding=1, bias=False)
    ranks = (2, 3, 4)[: len(how.full((4, 3, 3, 5)))]
    chain = how.factorize(layer, *ranks, products=products_for(layer))
    assert how.weights((4, 3, 3, 5), ranks) == sum(parameter.numel() for parameter in chain.parameters())
    x = torch.randn(2, 3, 11, 12)
    high, wide = layer(x).shape[2:]
    places = (2 * 11 * 12, 2 * high * 12, 2 * high * wide)
    assert how.macs((4, 3, 3, 5), ranks, places) == count_macs(chain, (x,)).total


def test_ranks_are_checked() -> None:
    with pytest.raises(ModelError, match="2 ranks of at least 1"):
        Tucker().factorize(nn.Conv2d(3, 4, 3), 2)
    with pytest.raises(ModelError, match="at least 1"):
        SVD().factorize(nn.Linear(3, 4), 0)
    with pytest.raises(ModelError, match="groups"):
        SVD().factorize(nn.Conv2d(4, 4, 3, groups=4), 1)
