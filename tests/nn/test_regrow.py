"""Drop-and-grow on stored weights does what the same algorithm does on a dense weight with a mask."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gossamer.errors import SettingError
from gossamer.nn import SparseConv2d, SparseLinear, drop_and_grow, recorded, regrow, remap
from tests.nn.test_sparse import HEIGHT, KERNELS, mask_of


def units(array: torch.Tensor, kernel: str) -> torch.Tensor:
    """The mean of each unit of a dense (R, C), (units,)."""
    return torch.cat([band.mean(0) for band in array.split(HEIGHT[kernel])])


def spread(chosen: torch.Tensor, kernel: str, shape: torch.Size) -> torch.Tensor:
    """The mask (R, C) of chosen units."""
    return chosen.view(-1, shape[1]).repeat_interleave(HEIGHT[kernel], 0)[: shape[0]]


def on_a_dense_mask(weight, mask, gradient, count, kernel):
    """The algorithm: the mask of what stays and the mask of what grows."""
    active = units(mask.float(), kernel) > 0
    worth = units(weight.abs(), kernel).masked_fill(~active, -1.0)
    stay = torch.zeros_like(active)
    stay[worth.sort(descending=True, stable=True).indices[: int(active.sum()) - count]] = True
    promise = units(gradient.abs(), kernel).masked_fill(stay, -1.0)
    grow = torch.zeros_like(active)
    grow[promise.sort(descending=True, stable=True).indices[:count]] = True
    return spread(stay, kernel, weight.shape), spread(grow, kernel, weight.shape)


@pytest.mark.parametrize("strip", [1, 700, 1 << 20])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_it_equals_the_algorithm_on_a_dense_mask(kind, kernel, strip, monkeypatch):
    monkeypatch.setattr(regrow, "_STRIP", strip)
    torch.manual_seed(1)
    dense = nn.Linear(23, 40) if kind == "linear" else nn.Conv2d(3, 40, 3, stride=2, padding=1)
    make = SparseLinear if kind == "linear" else SparseConv2d
    x = torch.randn(6, 23) if kind == "linear" else torch.randn(2, 3, 9, 8)
    mask = mask_of(dense.weight, kernel)
    layer = make.from_dense(dense, kernel, keep=mask, train=True)
    with torch.no_grad():
        dense.weight.mul_(mask)
    layers = {dense: None, layer: layer.matrix.values}
    optimizers = {net: torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9) for net in layers}
    for step in range(4):
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        dense(x).square().mean().backward()
        gradient = dense.weight.grad.clone().flatten(1)
        dense.weight.grad.mul_(mask)
        with recorded([layer]) as calls:
            layer(x).square().mean().backward()
        for optimizer in optimizers.values():
            optimizer.step()
        matrix = mask.flatten(1)
        count = int(units(matrix.float(), kernel).sum()) // 3
        stay, grow = on_a_dense_mask(dense.weight.detach().flatten(1), matrix, gradient, count, kernel)
        source = drop_and_grow(layer, count, gradient=calls[layer])
        remap(optimizers[layer], layer.matrix.values, source)
        mask = (stay | grow).view_as(mask)
        with torch.no_grad():
            dense.weight.mul_(stay.view_as(mask))
            optimizers[dense].state[dense.weight]["momentum_buffer"].mul_(stay.view_as(mask))
        torch.testing.assert_close(layer.weight, dense.weight.detach(), rtol=1e-4, atol=1e-6)
        held = spread_of(layer)
        assert torch.equal(held, mask.flatten(1)), step
        assert int((source < 0).sum()) <= count


def spread_of(layer) -> torch.Tensor:
    """Which weights a layer stores, (R, C)."""
    matrix = layer.matrix
    chosen = torch.zeros(matrix.bands * matrix.columns, dtype=torch.bool)
    chosen[matrix.places] = True
    return spread(chosen, layer.kernel, torch.Size((matrix.rows, matrix.columns)))


@pytest.mark.parametrize("kernel", KERNELS)
def test_growth_at_random_keeps_the_number_and_the_best(kernel):
    layer = SparseLinear.random(30, 48, 0.3, kernel=kernel)
    before, stored = layer.weight, layer.matrix.indices.shape[0]
    source = drop_and_grow(layer, stored // 2, generator=torch.Generator().manual_seed(0))
    assert layer.matrix.indices.shape[0] == stored
    kept = layer.weight != 0
    assert torch.equal(layer.weight[kept], before[kept])
    assert int((source >= 0).sum()) >= stored - stored // 2
    dropped = units(before.abs(), kernel)[units(before.abs() - layer.weight.abs(), kernel) > 0]
    assert dropped.max() <= units(layer.weight.abs(), kernel)[units(kept.float(), kernel) > 0].min()


def test_the_state_of_the_optimiser_follows_its_weight():
    layer = SparseLinear.random(30, 48, 0.3, bias=False)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.randn(5, 30)).square().sum().backward()
    optimizer.step()
    values = layer.matrix.values
    before = {name: tensor.clone() for name, tensor in optimizer.state[values].items()}
    source = drop_and_grow(layer, 50, generator=torch.Generator().manual_seed(0))
    remap(optimizer, values, source)
    after = optimizer.state[values]
    assert after["step"] == before["step"]
    old = source >= 0
    for name in ("exp_avg", "exp_avg_sq"):
        assert torch.equal(after[name][old], before[name][source[old]])
        assert not after[name][~old].any()
    layer(torch.randn(5, 30)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("kernel", KERNELS)
def test_nothing_grows_outside_a_group(kernel):
    dense = nn.Conv2d(8, 64, 3, groups=2)
    layer = SparseConv2d.from_dense(dense, kernel, keep=mask_of(dense.weight, kernel), train=True)
    x = torch.randn(2, 8, 6, 6)
    with recorded([layer]) as calls:
        layer(x).square().sum().backward()
    count = layer.matrix.indices.shape[0] // 2
    drop_and_grow(layer, count, gradient=calls[layer])
    assert layer.may_store(layer.matrix.places).all()
    drop_and_grow(layer, count, generator=torch.Generator().manual_seed(0))
    assert layer.may_store(layer.matrix.places).all()


def test_what_cannot_be_done_is_refused():
    layer = SparseLinear.random(4, 4, 0.5)
    generator = torch.Generator()
    with pytest.raises(SettingError, match="count is 9; expected at most the 8 stored units"):
        drop_and_grow(layer, 9, generator=generator)
    with pytest.raises(SettingError, match="exactly one of them"):
        drop_and_grow(layer, 1)
    with pytest.raises(SettingError, match="exactly one of them"):
        drop_and_grow(layer, 1, generator=generator, gradient=[])
