"""Each form against what it is written out: dense matrices, other k-means, the transformations themselves."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.linalg import circulant
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional as F

from gossamer.counting import count_macs
from gossamer.deploy import changes
from gossamer.deploy.changes import Change, ShareWeights
from gossamer.deploy.export.layers import standard_layers
from gossamer.errors import ModelError, SettingError
from gossamer.graph import CSR
from gossamer.nn.sharing import Circulant, Codebook, Hashed, Linear, Product, SharedLinear, Transferred, shared_like
from gossamer.nn.sharing.codebook import clusters

FORMS = [
    Hashed(count=7, seed=3),
    Product(length=3, count=4),
    Circulant(block=4),
    Circulant(block=5, flip=True, seed=2),
    Transferred(by="negate"),
    Transferred(by="same", copies=3),
    Transferred(by="turn"),
    Transferred(by="flip"),
    Transferred(by="turn and flip"),
]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def layer_for(form) -> nn.Module:
    torch.manual_seed(0)
    convolution = isinstance(form, Transferred)
    return nn.Conv2d(3, 10, 3, stride=2, padding=1) if convolution else nn.Linear(11, 8)


def input_for(layer) -> torch.Tensor:
    shape = (2, 3, 9, 9) if isinstance(layer, nn.Conv2d) else (5, 11)
    return torch.randn(shape, generator=seeded())


def shared(form):
    """Returns a plain layer whose weight has the form exactly, and the same layer of shared weights."""
    layer = layer_for(form)
    new = shared_like(layer, form)
    new.weights.take(layer.weight, form.codes(layer.weight, seeded()))
    layer.weight.data = new.weight.detach().clone()
    return layer, new


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_layer_in_a_form_computes_what_its_dense_weight_does(form):
    layer, new = shared(form)
    x = input_for(layer).requires_grad_()
    same = x.detach().clone().requires_grad_()
    torch.testing.assert_close(new(x), layer(same), rtol=1e-5, atol=1e-5)
    new(x).square().sum().backward()
    layer(same).square().sum().backward()
    torch.testing.assert_close(x.grad, same.grad, rtol=1e-4, atol=1e-4)
    tie = form.tie(tuple(layer.weight.shape), new.weights.codes)
    torch.testing.assert_close(new.weights.values.grad, tie.sums(layer.weight.grad), rtol=1e-4, atol=1e-4)
    assert new.weights.values.numel() == tie.groups < layer.weight.numel()
    torch.testing.assert_close(standard_layers(nn.Sequential(new))(x), new(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_has_the_form_already_is_taken_over_as_it_is(form):
    layer, new = shared(form)
    again = shared_like(layer, form)
    codes = new.weights.codes
    again.weights.take(layer.weight, codes)
    torch.testing.assert_close(again.weight, layer.weight)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_change_and_a_state_dict_make_the_layer_again(form):
    layer, new = shared(form)
    change = ShareWeights(layer="0", form=form)
    assert changes.found(nn.Sequential(copy.deepcopy(new))) == (change,)
    assert Change.from_json(change.to_json()) == change
    again = change.apply(nn.Sequential(layer_for(form)))
    again.load_state_dict(nn.Sequential(new).state_dict())
    torch.testing.assert_close(again(input_for(layer)), nn.Sequential(new)(input_for(layer)), rtol=0, atol=0)


def test_hashed_weights_use_every_number_about_as_often_and_both_signs():
    tie = Hashed(count=16, seed=0).tie((64, 64), None)
    expected = 64 * 64 / 16
    assert float(((tie.counts - expected) ** 2 / expected).sum()) < 37.7  # chi-squared, 15 degrees: 0.1 %
    assert abs(float(tie.factor.mean())) < 4 / 64
    other = Hashed(count=16, seed=1).tie((64, 64), None)
    assert float((tie.group == other.group).float().mean()) < 0.1


@pytest.mark.parametrize("flip", [False, True])
def test_one_block_is_a_circulant_matrix_behind_signs(flip):
    form = Circulant(block=6, flip=flip)
    new = shared_like(nn.Linear(6, 6, bias=False), form)
    nn.init.normal_(new.weights.values)
    first_column = new.weights.values.detach().numpy()
    signs = np.ones(6) if form.signs(6) is None else form.signs(6).numpy()
    assert set(signs) <= {1.0, -1.0}
    wanted = circulant(first_column) @ np.diag(signs)
    np.testing.assert_allclose(new.weight.detach().numpy(), wanted, rtol=1e-6)
    x = np.random.default_rng(0).standard_normal(6).astype(np.float32)
    by_fourier = np.fft.ifft(np.fft.fft(first_column) * np.fft.fft(signs * x)).real
    np.testing.assert_allclose(new(torch.from_numpy(x)).detach().numpy(), by_fourier, rtol=1e-5, atol=1e-5)


def test_large_circulants_take_less_arithmetic():
    dense = nn.Linear(512, 512, bias=False)
    new = shared_like(dense, Circulant(block=512))
    x = (torch.zeros(1, 512),)
    transform = 512 * 2.5 * math.log2(512) / 2
    assert count_macs(new, x).total == pytest.approx(3 * transform + 4 * 257, rel=1e-3)  # of x, of r, and back
    assert count_macs(new, x).total < count_macs(dense, x).total / 10


def test_a_bag_of_words_goes_in_as_it_is_stored():
    _, new = shared(Hashed(count=7))
    x = F.relu(torch.randn(6, 11, generator=seeded()) - 1)
    torch.testing.assert_close(new(CSR.from_scipy(__import__("scipy.sparse").sparse.csr_matrix(x.numpy()))), new(x))


def best_partition(values: np.ndarray, count: int) -> float:
    """Returns the least squared error of any partition of sorted values into `count` runs."""
    values = np.sort(values)
    runs = itertools.combinations(range(1, len(values)), count - 1)
    return min(sum(((p - p.mean()) ** 2).sum() for p in np.split(values, list(cuts))) for cuts in runs)


def error(values: torch.Tensor, member: torch.Tensor) -> float:
    return float(sum((values[member == c] - values[member == c].mean()).square().sum() for c in set(member.tolist())))


def test_clusters_are_those_of_another_k_means_from_the_same_start():
    values = torch.randn(500, generator=seeded()).double()
    start = np.linspace(float(values.min()), float(values.max()), 8)[:, None]
    other = KMeans(8, init=start, n_init=1, max_iter=300, tol=0, algorithm="lloyd").fit(values.numpy()[:, None])
    member = clusters(values, 8)
    assert (member.numpy() == other.labels_).all()


@pytest.mark.parametrize("seed", range(5))
def test_clusters_cannot_be_bettered_by_one_move_and_are_near_the_best(seed):
    values = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, 12))
    member = clusters(values, 3)
    found = error(values, member)
    assert best_partition(values.numpy(), 3) <= found + 1e-12
    assert found <= 2 * best_partition(values.numpy(), 3)
    centres = torch.stack(
        [values[member == c].mean() if bool((member == c).any()) else torch.tensor(math.inf) for c in range(3)]
    )
    assert torch.equal((values[:, None] - centres).abs().argmin(1), member)


def test_zeros_have_no_part_in_a_codebook():
    weight = torch.tensor([[0.0, 1.0, 1.1], [-2.0, 0.0, -2.1]])
    form = Codebook(bits=1)
    tie = form.tie((2, 3), form.codes(weight, seeded()))
    expected = torch.tensor([[0.0, 1.05, 1.05], [-2.05, 0.0, -2.05]])
    torch.testing.assert_close(tie.spread(tie.means(weight)), expected)


def test_product_codes_are_the_nearest_patterns_of_each_stretch():
    torch.manual_seed(0)
    weight = torch.randn(40, 10)
    form = Product(length=4, count=5)
    codes = form.codes(weight, seeded())
    patterns = form.tie((40, 10), codes).means(weight).reshape(3, 5, 4)
    padded = F.pad(weight, (0, 2)).reshape(40, 3, 4)
    for stretch in range(3):
        distance = torch.cdist(padded[:, stretch], patterns[stretch])
        taken = distance.gather(1, codes[:, stretch : stretch + 1].long())[:, 0]
        assert float((taken <= distance.amin(1) + 1e-5).float().mean()) > 0.9  # where k-means came to rest
    wide = Product(length=4, count=40)
    exact = wide.tie((40, 10), wide.codes(weight, seeded()))
    torch.testing.assert_close(exact.spread(exact.means(weight)), weight)


@pytest.mark.parametrize("form", FORMS[4:], ids=str)
def test_a_bank_made_by_the_transformations_is_recognised(form):
    base = torch.randn(2, 3, 3, 3, generator=seeded())
    bank = form.transformed(base).flatten(0, 1)
    bank = bank[torch.randperm(len(bank), generator=seeded())]
    tie = form.tie(tuple(bank.shape), form.codes(bank, seeded()))
    assert tie.groups == base.numel()
    torch.testing.assert_close(tie.spread(tie.means(bank)), bank)


def test_copied_filters_are_convolved_with_once():
    layer = nn.Conv2d(4, 8, 3, padding=1)
    x = (torch.zeros(1, 4, 6, 6),)
    plain = count_macs(layer, x).total
    assert count_macs(shared_like(layer, Transferred(by="negate")), x).total == plain / 2
    assert count_macs(shared_like(layer, Transferred(by="same", copies=4)), x).total == plain / 4
    assert count_macs(shared_like(layer, Transferred(by="turn")), x).total == plain


def test_forms_refuse_what_they_do_not_suit():
    with pytest.raises(ModelError, match="does not suit"):
        shared_like(nn.Conv2d(2, 2, 3), Circulant(block=2))
    with pytest.raises(ModelError, match="does not suit"):
        shared_like(nn.Conv2d(2, 4, 1), Transferred(by="turn"))
    with pytest.raises(SettingError, match="copies"):
        Transferred(by="turn", copies=3)
    with pytest.raises(ModelError, match="ReLU"):
        SharedLinear.like(nn.ReLU(), Hashed(count=2))


@pytest.mark.parametrize("form", FORMS[:1] + FORMS[2:4], ids=str)
def test_numbers_that_a_rule_ties_begin_at_the_size_of_the_weights(form):
    weight = torch.randn(11, 8, generator=seeded())
    tie = form.tie((11, 8), None)
    begun, means = form.begin(weight, tie), tie.means(weight)
    assert float(tie.spread(begun).square().mean()) == pytest.approx(float(weight.square().mean()), rel=1e-5)
    torch.testing.assert_close(begun / begun.norm(), means / means.norm())
    exact = tie.spread(torch.randn(tie.groups, generator=seeded()))
    torch.testing.assert_close(tie.spread(form.begin(exact, tie)), exact)
    assert float(form.begin(torch.zeros(11, 8), tie).abs().sum()) == 0.0


def test_one_bit_is_the_sign_and_the_mean_size():
    weight = torch.randn(5, 7, generator=seeded())
    weight[0, 0] = 0.0
    tie = Linear(bits=1).tie((5, 7), Linear(bits=1).codes(weight, seeded()))
    wanted = weight.sign() * weight[weight != 0].abs().mean()
    torch.testing.assert_close(tie.spread(tie.means(weight)), wanted)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_more_bits_are_whole_multiples_of_the_best_step(bits):
    weight = torch.randn(6, 9, generator=seeded())
    codes = Linear(bits=bits).codes(weight, seeded())
    assert int(codes.abs().max()) == 2 ** (bits - 1) - 1
    tie = Linear(bits=bits).tie((6, 9), codes)
    (step,) = tie.means(weight).tolist()
    steps = np.linspace(0.5 * step, 1.5 * step, 2001)
    errors = ((weight.numpy()[None] - steps[:, None, None] * codes.numpy()[None]) ** 2).sum((1, 2))
    assert steps[errors.argmin()] == pytest.approx(step, rel=1e-3)
    rounded = float(weight.abs().max()) / (2 ** (bits - 1) - 1)
    assert float((weight - rounded * codes).abs().max()) <= rounded / 2 * 1.001
