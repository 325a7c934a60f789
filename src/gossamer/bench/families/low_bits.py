"""Products of few bits against dense float32 and int8 ones; inputs are packed beforehand unless a case says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from gossamer.bench.case import Case, Patience, Peer
from gossamer.kernels import low_bits
from gossamer.nn import BinaryWeights, CodedConv2d, FewBitsWeights, Int8Weights, TernaryWeights
from gossamer.nn.coded import CodedWeights

_VNNI = "bars are for processors with VNNI and VPOPCNTDQ"


def cases(patience: Patience) -> Iterator[Case]:
    """Yields the family's cases."""
    yield from _square(patience)
    yield from _few_bits(patience)
    if patience.full:
        yield from _convolutions()


def _square(patience: Patience, size: int = 1024) -> Iterator[Case]:
    """Products of two square matrices."""
    x, weight, ones = torch.randn(size, size), torch.randn(size, size), torch.ones(size)
    x_bytes, w_bytes = ((4 * m).clamp(-127, 127).to(torch.int8) for m in (x, weight))

    def peers(float32: float | None = None, int8: float | None = None, *, exact: bool = False) -> tuple[Peer, ...]:
        dense = Peer("float32 torch.mm", partial(torch.mm, x, weight.T), float32, tolerance=None, note=_VNNI)
        integers = Peer(
            "int8 torch._int_mm",
            partial(torch._int_mm, x_bytes, w_bytes.T),
            int8,
            tolerance=0.0 if exact else None,
            note=_VNNI,
        )
        return dense, integers

    signs, sign_panels = low_bits.pack_signs(x)[0], low_bits.to_panels(low_bits.pack_signs(weight)[0])
    binary = partial(low_bits.binary_matmul, signs, sign_panels, size, size)
    yield Case(f"binary {size} cubed", binary, peers(10.0, 3.0))
    pairs, pair_panels = low_bits.pack_ternary(x, 0.5)[0], low_bits.to_panels(low_bits.pack_ternary(weight, 0.5)[0])
    ternary = partial(low_bits.ternary_matmul, pairs, pair_panels, size, size)
    yield Case(f"ternary {size} cubed", ternary, peers(5.0))
    words, panels = low_bits.pack_bytes(x_bytes), low_bits.to_panels(low_bits.pack_bytes(w_bytes))
    int8 = partial(low_bits.int8_matmul, words, panels, size, size)
    yield Case(f"int8 {size} cubed", int8, peers(2.5, exact=True))
    if not patience.full:
        return

    def packed_binary() -> Tensor:
        rows, scale = low_bits.pack_signs(x, mean=True)
        return low_bits.binary_linear(rows, sign_panels, size, ones, x_scale=scale)

    def packed_int8() -> Tensor:
        rows, scale = low_bits.pack_int8(x)
        return low_bits.int8_linear(rows, panels, size, ones, x_scale=scale)

    yield Case(f"binary {size} cubed, packing the input", packed_binary, peers())
    yield Case(f"int8 {size} cubed, packing the input", packed_int8, peers())


def _few_bits(patience: Patience, size: int = 4096) -> Iterator[Case]:
    """Layers whose time, for one example, is that of reading the weights."""
    weight = torch.randn(size, size)
    for bits in (1, 2, 4) if patience.full else (2,):
        codes = torch.randint(0, 1 << bits, (size, size), dtype=torch.uint8)
        levels = torch.arange(1 << bits).float() - (1 << bits) // 2
        packed = low_bits.pack_few_bits(codes, torch.rand(size, size // 128), levels)
        for batch in (1, 16, 128) if patience.full else (1,):
            x = torch.randn(batch, size)
            words, scale = low_bits.pack_int8(x)
            bar = 3.0 if bits == 2 and batch == 1 else None
            dense = partial(F.linear, x, weight)
            name = f"{bits}-bit weights {size}x{size}, groups of 128, batch {batch}"
            moved = size * size * (bits / 8 + 4 / 128) + 4.0 * batch * 2 * size
            yield Case(
                f"{name}, float32",
                partial(low_bits.few_bits_linear, x, packed),
                (Peer("float32 linear", dense, bar, tolerance=None),),
                flops=2.0 * size * size * batch,
                bytes=moved,
            )
            zero = (1 << bits) // 2
            yield Case(
                f"{name}, int8",
                partial(low_bits.few_bits_int8_linear, words, packed, zero=zero, x_scale=scale),
                (Peer("float32 linear", dense, tolerance=None),),
                bytes=moved,
            )


def _convolutions() -> Iterator[Case]:
    """3 x 3 convolutions, with everything that a layer does."""
    codings: dict[str, Callable[[Tensor], CodedWeights]] = {
        "binary": BinaryWeights.from_dense,
        "ternary": partial(TernaryWeights.from_dense, threshold=0.5),
        "int8": Int8Weights.from_dense,
        "few bits": FewBitsWeights.from_dense,
    }
    for channels, side, batch in ((64, 56, 1), (256, 14, 8)):
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1)
        x = torch.randn(batch, channels, side, side)
        for kind, code in codings.items():
            coded = CodedConv2d.from_dense(layer, code)
            yield Case(
                f"{kind} 3x3 convolution, {channels} channels, {side}x{side}, batch {batch}",
                partial(coded, x),
                (Peer("float32 conv2d", partial(layer, x), tolerance=None),),
            )
