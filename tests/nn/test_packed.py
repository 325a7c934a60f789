"""Packed layers compute what the dense ones compute, and keep their state dict."""

import copy
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gossamer.errors import ModelError
from gossamer.nn import CompactConv2d, CompactLinear, SparseConv2d, SparseLinear

LINEAR = {kernel: partial(SparseLinear.from_dense, kernel=kernel) for kernel in ("csr", "blocks")}
LINEAR["compact"] = CompactLinear.from_dense
CONV2D = {kernel: partial(SparseConv2d.from_dense, kernel=kernel) for kernel in ("csr", "blocks")}
CONV2D["compact"] = CompactConv2d.from_dense
BOTH = [*LINEAR.values(), *CONV2D.values()]


def pruned(layer: nn.Module, seed: int = 0, density: float = 0.3) -> nn.Module:
    """Zeros at random, and whole outputs and inputs on top."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng))
        layer.weight.mul_(torch.rand(layer.weight.shape, generator=rng) < density)
        layer.weight[1::4] = 0.0
        layer.weight[:, ::5] = 0.0
        if layer.bias is not None:
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=rng))
    return layer


def close(got: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(got, wanted.detach(), rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(LINEAR.values())),
    st.tuples(st.integers(1, 40), st.integers(1, 70)),
    st.lists(st.integers(0, 4), max_size=2),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.fixed_dictionaries({"bias": st.booleans(), "dtype": st.sampled_from([torch.float32, torch.float64])}),
)
def test_linear_layers_compute_the_dense_product(kind, sizes, batch, density, options):
    dense = pruned(nn.Linear(*sizes, **options), density=density)
    packed = kind(dense)
    dtype = options["dtype"]
    x = torch.randn(*batch, sizes[0], dtype=dtype, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got = packed(x)
    assert got.shape == (*batch, sizes[1])
    assert got.dtype == dtype
    close(got, dense(x))
    assert torch.equal(packed.weight, dense.weight)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(CONV2D.values())),
    st.tuples(st.integers(1, 5), st.integers(1, 20), st.sampled_from([1, 2, 3, (3, 1)])),
    st.fixed_dictionaries(
        {
            "stride": st.sampled_from([1, 2, (2, 1)]),
            "padding": st.sampled_from([0, 1, (0, 2)]),
            "dilation": st.sampled_from([1, 2]),
            "bias": st.booleans(),
        }
    ),
    st.integers(0, 3),
)
def test_convolutions_compute_the_dense_one(kind, sizes, options, images):
    dense = pruned(nn.Conv2d(*sizes, **options))
    packed = kind(dense)
    x = torch.randn(images, sizes[0], 9, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        close(packed(x), dense(x))
    assert torch.equal(packed.weight, dense.weight)


@pytest.mark.parametrize("kind", LINEAR.values())
def test_a_layer_of_zeros_gives_its_bias(kind):
    dense = nn.Linear(6, 20)
    with torch.no_grad():
        dense.weight.zero_()
        got = kind(dense)(torch.randn(3, 6))
    assert torch.equal(got, dense.bias.expand(3, 20))


@pytest.mark.parametrize("kind", BOTH)
def test_the_state_dict_is_that_of_the_dense_layer(kind):
    dense = pruned(nn.Linear(33, 40) if kind in LINEAR.values() else nn.Conv2d(5, 33, 3))
    packed = kind(dense)
    state = packed.state_dict()
    assert list(state) == ["weight", "bias"]
    assert all(torch.equal(state[key], value) for key, value in dense.state_dict().items())

    other = pruned(copy.deepcopy(dense), seed=7)
    model = nn.Sequential(packed, nn.Identity())
    model.load_state_dict(nn.Sequential(other, nn.Identity()).state_dict())
    assert torch.equal(packed.weight, other.weight)
    assert torch.equal(packed.bias, other.bias)


@pytest.mark.parametrize("kind", [LINEAR["csr"], CONV2D["csr"]])
def test_a_state_dict_that_does_not_fit_is_refused_with_names(kind):
    dense = nn.Linear(3, 4) if kind is LINEAR["csr"] else nn.Conv2d(3, 4, 3)
    model = nn.Sequential(kind(dense))
    state = model.state_dict()
    with pytest.raises(RuntimeError, match=r"0\.weight: found \(5, 5\)"):
        model.load_state_dict(state | {"0.weight": torch.ones(5, 5)})
    with pytest.raises(RuntimeError, match=r"Missing key.*0\.bias"):
        model.load_state_dict({"0.weight": state["0.weight"]})
    with pytest.raises(RuntimeError, match=r"Unexpected key.*0\.gain"):
        model.load_state_dict(state | {"0.gain": torch.ones(1)})
    model.load_state_dict({"0.weight": torch.zeros_like(state["0.weight"])}, strict=False)
    assert not model[0].weight.any()


def test_only_what_is_kept_is_stored():
    dense = nn.Linear(64, 32, bias=False)
    with torch.no_grad():
        dense.weight[:, 8:] = 0.0
        dense.weight[16:] = 0.0
    stored = {kernel: sum(p.numel() for p in kind(dense).parameters()) for kernel, kind in LINEAR.items()}
    assert stored == {"csr": 128, "blocks": 128, "compact": 128}


@pytest.mark.parametrize("kind", BOTH)
def test_copies_and_dtypes_follow_the_module(kind):
    dense = pruned(nn.Linear(10, 20) if kind in LINEAR.values() else nn.Conv2d(10, 20, 1))
    packed = copy.deepcopy(kind(dense)).double()
    x = torch.randn(3, 10, dtype=torch.float64)
    x = x if kind in LINEAR.values() else x[:, :, None, None]
    with torch.no_grad():
        got = packed(x)
    assert got.dtype == torch.float64
    close(got, dense.double()(x))


@pytest.mark.parametrize("kind", CONV2D.values())
def test_one_image_without_a_batch_and_images_in_any_memory_order(kind):
    dense = pruned(nn.Conv2d(4, 20, 3, padding=1))
    packed = kind(dense)
    x = torch.randn(7, 4, 40, 40).to(memory_format=torch.channels_last)
    with torch.no_grad():
        close(packed(x), dense(x))
        close(packed(x[0]), dense(x[0]))


@pytest.mark.parametrize("kind", BOTH)
def test_inputs_of_another_width_are_refused(kind):
    dense = nn.Linear(4, 4) if kind in LINEAR.values() else nn.Conv2d(4, 4, 3)
    x = torch.ones(2, 5) if kind in LINEAR.values() else torch.ones(2, 5, 8, 8)
    with pytest.raises(ModelError, match="expected"):
        kind(dense)(x)


@pytest.mark.parametrize("kind", CONV2D.values())
def test_images_smaller_than_the_kernel_are_refused(kind):
    with pytest.raises(ModelError, match="the kernel reaches"):
        kind(nn.Conv2d(4, 4, 3))(torch.ones(1, 4, 2, 2))


@pytest.mark.parametrize("kind", LINEAR.values())
def test_gradients_reach_the_input(kind):
    dense = pruned(nn.Linear(12, 20))
    x = torch.randn(4, 12, requires_grad=True)
    (wanted,) = torch.autograd.grad(dense(x).square().sum(), x)
    (got,) = torch.autograd.grad(kind(dense)(x).square().sum(), x)
    close(got, wanted)


@pytest.mark.parametrize("kind", LINEAR.values())
def test_the_dense_layer_is_left_alone(kind):
    dense = nn.Linear(4, 4)
    packed = kind(dense)
    with torch.no_grad():
        packed.bias.add_(1.0)
        next(p for name, p in packed.named_parameters() if name != "bias").zero_()
    assert dense.weight.all()
    assert not torch.equal(packed.bias, dense.bias)


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        (LINEAR["csr"], nn.Conv2d(2, 2, 1)),
        (LINEAR["compact"], nn.ReLU()),
        (CONV2D["csr"], nn.Linear(2, 2)),
        (CONV2D["blocks"], nn.Conv2d(4, 4, 3, groups=2)),
        (CONV2D["compact"], nn.Conv2d(4, 4, 3, groups=2)),
        (CONV2D["compact"], nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")),
        (CONV2D["csr"], nn.Conv2d(4, 4, 3, padding="same")),
    ],
)
def test_layers_that_cannot_be_packed_are_refused(kind, layer):
    with pytest.raises(ModelError, match="expected"):
        kind(layer)
