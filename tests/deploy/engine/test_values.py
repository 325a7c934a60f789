"""Operators on masks, positions and indices, transposed convolutions, resized images and recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from gossamer.deploy import compile as compile_network
from gossamer.errors import DataError
from gossamer.kernels import native
from tests.deploy.engine.test_operators import check

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")


@pytest.mark.parametrize(
    "function",
    [
        lambda i, x: (i > 2) & (i != 4) | ~(i <= 7),
        lambda i, x: torch.where(i > 3, x[0, 0, :, :5], 1.5),
        lambda i, x: x[0, 0, :, :5].masked_fill(i == 2, float("-inf")),
        lambda i, x: torch.where(x > 0, x.log(), x.square()),
        lambda i, x: i.cumsum(1) * (i != 1).long() + 2,
        lambda i, x: i.float() / 3 + (i // 2) - (i % 3),
        lambda i, x: x.long() + i[0, 0],
        lambda i, x: i.to(torch.bool).to(torch.float32) * x[0, 0, :, :5],
        lambda i, x: x.argmax(1) - x.argmin(2, keepdim=True)[:, 0],
        lambda i, x: x.argmax(),
        lambda i, x: x.max(2).values + x.max(2).indices,
        lambda i, x: x.min(-1, keepdim=True).values * x.min(-1, keepdim=True).indices,
        lambda i, x: x.amin((0, 3)),
        lambda i, x: x.mean((0, 2)) + x.sum(),
        lambda i, x: (i > 2).any(1) | (i > 0).all(1),
        lambda i, x: x.var((1, 3)) + x.std((1, 3), correction=0),
        lambda i, x: torch.linalg.vector_norm(x, dim=(1, 3)) + x.norm(p=1, dim=(1, 3)),
        lambda i, x: F.normalize(x, dim=1),
        lambda i, x: x[:, :, i[0]],
        lambda i, x: x[:, i[0, :4] - 3, i[1, :4]],
        lambda i, x: x[torch.tensor([1, -1, 0])],
        lambda i, x: x.index_select(2, i[0]),
        lambda i, x: i.index_select(0, i[0, :2]),
        lambda i, x: x.gather(1, i[:2, None, :, None].clamp(max=5).expand(2, 1, 5, 7)),
        lambda i, x: x[0, 0].index_add(0, i[0], x[1, 1, :5]),
        lambda i, x: x[0, 0].scatter_add(0, i[0, :, None].expand(5, 9), x[1, 1, :5]),
        lambda i, x: torch.arange(11, device=i.device) + i[:, :1],
        lambda i, x: torch.ones_like(x) * 2 - torch.zeros(9) + torch.full((11, 1), 0.5),
        lambda i, x: x.repeat(1, 2, 1, 3),
        lambda i, x: x.flip((1, 3)),
        lambda i, x: torch.slice_scatter(x, x[:, 2:4] * 2, 1, 1, 3),
        lambda i, x: torch.select_scatter(x, x[:, 2] * 2, 1, -1),
        lambda i, x: F.pad(x, (-1, 2, 1, -2), value=0.5),
        lambda i, x: F.softplus(x) + F.mish(x) + F.log_softmax(x, 1) + torch.logsumexp(x, 1, keepdim=True),
        lambda i, x: F.glu(x, 1) + F.selu(x)[:, :3] + F.logsigmoid(x)[:, 3:],
        lambda i, x: torch.einsum("nchw,ndhw->ncd", x, x),
        lambda i, x: x.abs() ** 1.7 + 2.0**x + x**3 + torch.remainder(x, 0.7),
        lambda i, x: x.clamp(min=0.2) - x.clamp(max=x.mean()),
        lambda i, x: torch.baddbmm(x[:, 0, :, :1], x[:, 1], x[:, 2].transpose(1, 2), beta=0.5, alpha=2.0),
        lambda i, x: torch.tril(x[0, 0]),
    ],
)
def test_operators(function: Callable[[Tensor, Tensor], Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    check(function, torch.randint(0, 9, (11, 5), generator=generator), torch.randn(2, 6, 11, 9, generator=generator))


@settings(deadline=None, max_examples=60)
@given(
    axes=st.integers(1, 2),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 3),
    extra=st.integers(0, 3),
    groups=st.sampled_from([1, 2]),
    size=st.integers(1, 6),
    bias=st.booleans(),
)
def test_transposed_convolutions(  # noqa: PLR0917  one for each setting
    axes: int, kernel: int, stride: int, padding: int, extra: int, groups: int, size: int, bias: bool
) -> None:
    made = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}[axes]
    extra = min(extra, stride - 1)
    if (size - 1) * stride - 2 * padding + kernel + extra < 1:
        return
    torch.manual_seed(kernel * 100 + stride)
    layer = made(4, 6, kernel, stride, padding, extra, groups, bias)
    x = torch.randn(2, 4, *[size + axis for axis in range(axes)])
    engine = compile_network(layer, (x,))
    assert engine.torch_steps == ()
    torch.testing.assert_close(engine(x), layer(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(engine(x[:1]), layer(x[:1]), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name(kernel: int, padding: str) -> None:
    flat, wide = nn.Conv1d(4, 6, kernel, padding=padding), nn.Conv2d(4, 6, (kernel, 3), padding=padding, dilation=2)
    check(flat, torch.randn(2, 4, 11))
    check(wide, torch.randn(2, 4, 11, 9))


@pytest.mark.parametrize(
    "settings",
    [
        {"size": (22, 27), "mode": "nearest"},
        {"size": (7, 30), "mode": "nearest"},
        {"scale_factor": 2, "mode": "nearest"},
        {"scale_factor": 1.7, "mode": "nearest-exact"},
        {"scale_factor": 2, "mode": "bilinear"},
        {"scale_factor": 1.6, "mode": "bilinear"},
        {"size": (5, 20), "mode": "bilinear", "align_corners": True},
        {"size": (5, 4), "mode": "bilinear", "antialias": True},
        {"size": (20, 13), "mode": "bicubic"},
    ],
)
def test_images_of_other_sizes(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    check(lambda x: F.interpolate(x, **settings), torch.randn(2, 3, 11, 9))


def test_signals_of_other_sizes_and_uneven_pools() -> None:
    x = torch.randn(2, 3, 11, 9)
    check(lambda x: F.interpolate(x[:, :, 0], 25, mode="linear") + F.interpolate(x[:, :, 1], 25), x)
    check(lambda x: F.adaptive_avg_pool2d(x, (4, 7)), x)
    check(lambda x: F.avg_pool1d(x[:, 0], 3, 2, 1), x)


def test_patches_there_and_back() -> None:
    x = torch.randn(2, 3, 8, 6)
    check(lambda x: F.fold(F.unfold(x, (2, 3), stride=(2, 3)) * 2, (8, 6), (2, 3), stride=(2, 3)), x)
    check(lambda x: F.unfold(x, 3, padding=1), x, native_only=False)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k)])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers(kind: Any, layers: int, both: bool) -> None:
    torch.manual_seed(0)
    net = kind(5, 7, num_layers=layers, bidirectional=both, batch_first=both, bias=layers == 1).eval()
    x = torch.randn(4, 3, 5)
    engine = compile_network(net, (x,))
    assert engine.torch_steps == ()
    for some in (x, x[:1].repeat(2, 1, 1)):
        expected = net(some)
        flat = [expected[0], *(expected[1] if isinstance(expected[1], tuple) else expected[1:])]
        for one, other in zip(engine(some), flat, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_recurrent_layer_with_states_and_a_pruned_weight() -> None:
    torch.manual_seed(0)
    net = nn.LSTM(16, 64).eval()
    with torch.no_grad():
        net.weight_hh_l0 *= (torch.rand(256, 64) < 0.05).float()
    states = torch.randn(1, 2, 64), torch.randn(1, 2, 64)
    check(lambda x, h, c: net(x, (h, c))[0], torch.randn(9, 2, 16), *states)


def test_groups_of_heads_that_share_keys() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(2, 6, 5, 8), torch.randn(2, 2, 7, 8)
    mask = torch.rand(2, 6, 5, 7) > 0.2
    check(lambda q, k: F.scaled_dot_product_attention(q, k, k * 2, enable_gqa=True), q, k)
    for seen in (mask, mask[:, :1], mask[:1, :1], mask[:1]):
        check(lambda q, k, m: F.scaled_dot_product_attention(q, k, k, m, enable_gqa=True), q, k, seen)


def test_an_index_out_of_range_is_an_error() -> None:
    x = torch.randn(4, 3)
    engine = compile_network(_Rows(), (x, torch.tensor([0, 3])), dynamic=False)
    assert torch.equal(engine(x, torch.tensor([-1, 2])), x[torch.tensor([-1, 2])])
    for wrong in (4, -5):
        with pytest.raises(DataError, match="out of range"):
            engine(x, torch.tensor([0, wrong]))


class _Rows(nn.Module):
    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        return x[rows]
