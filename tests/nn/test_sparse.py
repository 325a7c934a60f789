"""Layers that hold only their stored weights train as the masked dense layer does."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from gossamer.counting import count_macs
from gossamer.errors import ModelError, SettingError
from gossamer.nn import SparseConv2d, SparseLinear

HEIGHT = {"csr": 1, "blocks": 16, "blocks8": 8}  # outputs that share their inputs
KERNELS = list(HEIGHT)


def mask_of(weight: torch.Tensor, kernel: str, seed: int = 0, density: float = 0.4) -> torch.Tensor:
    """A random mask; in blocks, outputs share it."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(-(-weight.shape[0] // HEIGHT[kernel]), *weight.shape[1:], generator=generator) < density
    return mask.repeat_interleave(HEIGHT[kernel], 0)[: weight.shape[0]]


class Masked:
    """The dense network: weights masked after each step, gradients before."""

    def __init__(self, layers: list[nn.Module], masks: list[torch.Tensor]) -> None:
        self.layers, self.masks = layers, masks
        self.mask_weights()

    def mask_weights(self) -> None:
        for layer, mask in zip(self.layers, self.masks, strict=True):
            layer.weight.data.mul_(mask)

    def mask_gradients(self) -> None:
        for layer, mask in zip(self.layers, self.masks, strict=True):
            layer.weight.grad.mul_(mask)


def network(kind: str) -> nn.Sequential:
    torch.manual_seed(3)
    if kind == "linear":
        return nn.Sequential(nn.Linear(12, 40), nn.Tanh(), nn.Linear(40, 24), nn.Tanh(), nn.Linear(24, 3))
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(20, 32, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(32, 5, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_training_equals_masked_dense_training(kind, kernel):
    dense = network(kind)
    places = [i for i, layer in enumerate(dense) if isinstance(layer, nn.Linear | nn.Conv2d)]
    masks = [mask_of(dense[i].weight, kernel, seed=i) for i in places]
    sparse = copy.deepcopy(dense)
    make = SparseLinear if kind == "linear" else SparseConv2d
    for i, mask in zip(places, masks, strict=True):
        sparse[i] = make.from_dense(dense[i], kernel, keep=mask, train=True)
    masked = Masked([dense[i] for i in places], masks)
    x = torch.randn(9, 12) if kind == "linear" else torch.randn(4, 3, 9, 8)
    target = torch.randn_like(dense(x))
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in (dense, sparse)]
    first = None
    for _ in range(8):
        losses = []
        for net, optimizer in zip((dense, sparse), optimizers, strict=True):
            optimizer.zero_grad()
            loss = (net(x) - target).square().mean()
            loss.backward()
            if net is dense:
                masked.mask_gradients()
            optimizer.step()
            masked.mask_weights()
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        first = first or losses[0]
    assert losses[0] < 0.9 * first
    for i in places:
        torch.testing.assert_close(sparse[i].weight, dense[i].weight.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(sparse[i].bias, dense[i].bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_parameters_gradients_and_momentum_are_as_small_as_what_is_stored(kernel):
    layer = SparseLinear.random(64, 160, 0.1, kernel=kernel, bias=False)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.randn(5, 64)).sum().backward()
    optimizer.step()
    (values,) = layer.parameters()
    assert values.numel() == 1024
    assert values.grad.shape == values.shape
    assert {state.numel() for state in optimizer.state[values].values() if state.dim()} == {1024}


@pytest.mark.parametrize("kernel", KERNELS)
def test_random_layers_have_the_density_and_keep_the_size_of_signals(kernel):
    layer = SparseLinear.random(256, 320, 0.25, kernel=kernel, seed=5)
    again = SparseLinear.random(256, 320, 0.25, kernel=kernel, seed=5)
    assert torch.equal(layer.weight, again.weight)
    assert not torch.equal(layer.weight, SparseLinear.random(256, 320, 0.25, kernel=kernel, seed=6).weight)
    kept = layer.weight != 0
    assert abs(int(kept.sum()) - 0.25 * kept.numel()) < 16
    inputs = kept.sum(1)
    assert inputs.min() >= 30
    spread = layer.weight.square().sum(1) * 3  # n weights uniform in ± 1/√n
    assert abs(float(spread.mean()) - 1.0) < 0.05
    with pytest.raises(SettingError, match=r"density is 0; expected a fraction in \(0, 1\]"):
        SparseLinear.random(4, 4, 0)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("rows", [1, 17, 40])
def test_random_layers_of_any_height_hold_nothing_beyond_their_rows(kernel, rows):
    layer = SparseLinear.random(9, rows, 0.5, kernel=kernel)
    assert layer.weight.count_nonzero() == layer.matrix.values.count_nonzero()
    torch.testing.assert_close(layer.to_dense()(torch.ones(2, 9)), layer(torch.ones(2, 9)))


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_state_dict_in_training_holds_zeros_that_are_stored(kernel):
    dense = nn.Linear(6, 20)
    keep = mask_of(dense.weight, kernel)
    layer = SparseLinear.from_dense(dense, kernel, keep=keep, train=True)
    with torch.no_grad():
        layer.matrix.values[0] = 0.0
    state = layer.state_dict()
    assert set(state) == {"indptr", "indices", "values", "bias"}
    other = SparseLinear.random(6, 20, 0.2, kernel=kernel)
    values = other.matrix.values
    other.load_state_dict(state)
    assert other.matrix.values is values
    assert torch.equal(other.weight, layer.weight)
    assert torch.equal(other.matrix.places, layer.matrix.places)
    assert torch.equal(other.bias, layer.bias)
    frozen = SparseLinear.from_dense(nn.Linear(6, 20), kernel)
    frozen.load_state_dict(state)
    assert set(frozen.state_dict()) == {"weight", "bias"}
    assert torch.equal(frozen.weight, layer.weight)
    layer.load_state_dict(dense.state_dict())
    assert torch.equal(layer.weight, dense.weight)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_pattern_that_does_not_fit_is_refused(kernel):
    layer = SparseLinear.random(6, 20, 0.5, kernel=kernel)
    state = layer.state_dict()
    with pytest.raises(RuntimeError, match=r"indices: expected values in \[0, 6\), found 7"):
        layer.load_state_dict(state | {"indices": torch.full_like(state["indices"], 7)})
    with pytest.raises(RuntimeError, match="values: found shape"):
        layer.load_state_dict(state | {"values": torch.ones(3, 3)})
    with pytest.raises(RuntimeError, match=r"Missing key.*indptr"):
        layer.load_state_dict({name: state[name] for name in ("indices", "values", "bias")})


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("groups", [2, 4])
def test_groups_are_zeros_like_any_others(kernel, groups):
    dense = nn.Conv2d(8, 64, 3, stride=2, padding=1, groups=groups)
    mask = mask_of(dense.weight, kernel)
    with torch.no_grad():
        dense.weight.mul_(mask)
    layer = SparseConv2d.from_dense(dense, kernel, train=True)
    x = torch.randn(2, 8, 7, 9, requires_grad=True)
    torch.testing.assert_close(layer(x), dense(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(layer.weight, dense.weight)
    assert torch.equal(layer.to_dense().weight, dense.weight)
    layer(x).square().sum().backward()
    got = x.grad
    x.grad = None
    dense(x).square().sum().backward()
    torch.testing.assert_close(got, x.grad, rtol=1e-3, atol=1e-3)
    every = torch.arange(layer.matrix.bands * layer.matrix.columns)
    assert layer.may_store(every).float().mean() == pytest.approx(1 / groups)
    assert layer.may_store(layer.matrix.places).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_a_relu_may_be_part_of_the_layer(kind, kernel):
    dense = nn.Linear(12, 40) if kind == "linear" else nn.Conv2d(3, 40, 3, padding=1)
    x = torch.randn((9, 12) if kind == "linear" else (2, 3, 6, 5), requires_grad=True)
    make = SparseLinear if kind == "linear" else SparseConv2d
    apart, joined = (make.from_dense(dense, kernel, train=True, relu=relu) for relu in (False, True))
    wanted, got = apart(x).relu(), joined(x)
    torch.testing.assert_close(got, wanted)
    flow = torch.randn_like(got)
    inputs = torch.autograd.grad(wanted, [x, *apart.parameters()], flow)
    for one, other in zip(torch.autograd.grad(got, [x, *joined.parameters()], flow), inputs, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(joined(x), wanted)
    joined.relu = False
    torch.testing.assert_close(joined(x), apart(x))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_prediction_without_the_operator_gives_the_same(kernel, dtype):
    layer = SparseLinear.from_dense(nn.Linear(12, 40).to(dtype), kernel, relu=True)
    for batch in (0, 1, 5, 40):
        x = torch.randn(batch, 12, dtype=dtype)
        with torch.no_grad():
            got = layer(x)
        assert got.dtype is dtype
        assert torch.equal(got, layer(x.clone().requires_grad_()).detach())
        assert torch.equal(got, layer(x[None])[0])
    with torch.inference_mode():
        assert torch.equal(layer(x), got)
        assert torch.equal(layer(torch.cat([x, x], 1)[:, :12]), got)  # not contiguous


def test_whoever_watches_sees_the_operator():
    layer, x = SparseLinear.random(12, 40, 0.5, train=False), torch.randn(3, 12)
    assert count_macs(layer, (x,)).total == 3 * layer.matrix.values.numel()
    wanted = layer(x)
    torch.testing.assert_close(torch.vmap(lambda one: layer(one[None])[0])(x), wanted)
    traced = torch.fx.experimental.proxy_tensor.make_fx(layer)(x)
    assert "csr_product" in traced.code
    (slope,) = torch.autograd.grad(layer(x.requires_grad_()).sum(), x)
    torch.testing.assert_close(slope, layer.weight.sum(0).expand(3, -1))


def test_what_is_moved_or_replaced_is_what_is_multiplied():
    layer, x = SparseLinear.random(12, 40, 0.5, kernel="blocks", train=False), torch.randn(3, 12)
    with torch.no_grad():
        layer(x)
        layer.matrix.values.data = layer.matrix.values * 2
        torch.testing.assert_close(layer(x), layer.to_dense()(x))
        layer.pack(torch.randn(40, 12))
        torch.testing.assert_close(layer(x), layer.to_dense()(x))
        layer.double()
        torch.testing.assert_close(layer(x.double()), layer.to_dense()(x.double()))
        torch.testing.assert_close(copy.deepcopy(layer)(x.double()), layer(x.double()))


def test_depthwise_convolutions_are_for_csr():
    dense = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    x = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(SparseConv2d.from_dense(dense)(x), dense(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError, match="expected groups of a multiple of 16 outputs"):
        SparseConv2d.from_dense(dense, "blocks")


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradients_in_double_precision(kernel):
    torch.manual_seed(0)
    dense = nn.Conv2d(2, 17, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), dtype=torch.float64)
    layer = SparseConv2d.from_dense(dense, kernel, keep=mask_of(dense.weight, kernel, density=0.1), train=True)
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    values = layer.matrix.values

    def call(x: torch.Tensor, values: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"matrix.values": values, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(call, (x, values, layer.bias))
    assert torch.autograd.gradgradcheck(call, (x, values, layer.bias), fast_mode=True)


def test_a_kernel_that_there_is_not_is_refused():
    with pytest.raises(SettingError, match="unknown kernel of sparse layers 'block'; did you mean 'blocks'"):
        SparseLinear.from_dense(nn.Linear(3, 3), "block")
