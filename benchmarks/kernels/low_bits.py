"""Times products of few bits against dense float32 and int8 ones, one JSON row a comparison.

python -m benchmarks.kernels.low_bits --threads 1 2

A row's `ratio` is the peer's time over ours, medians of calls made in turns; `bar` is what it has to reach on one
thread of a processor with VNNI and VPOPCNTDQ, where there is one. Inputs of binary, ternary and int8 products are
packed beforehand, except where a case says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import interleave
from gossamer.kernels import low_bits, native
from gossamer.nn import BinaryWeights, CodedConv2d, FewBitsWeights, Int8Weights, TernaryWeights


class Peer(NamedTuple):
    """What ours is compared with, and how many times as fast ours has to be."""

    call: Callable[[], Tensor]
    bar: float | None = None


class Case(NamedTuple):
    """One row or more: a family, what is multiplied, and the peers."""

    family: str
    name: str
    ours: Callable[[], Tensor]
    peers: dict[str, Peer]


def products(size: int = 1024) -> Iterator[Case]:
    """Yields products of two square matrices."""
    x, weight = torch.randn(size, size), torch.randn(size, size)
    ones = torch.ones(size)
    name = f"{size} cubed"
    x_bytes, w_bytes = ((4 * m).clamp(-127, 127).to(torch.int8) for m in (x, weight))
    dense, integers = (lambda: x @ weight.T), (lambda: torch._int_mm(x_bytes, w_bytes.T))

    signs, sign_panels = low_bits.pack_signs(x)[0], low_bits.to_panels(low_bits.pack_signs(weight)[0])
    peers = {"float32 torch.mm": Peer(dense, 10.0), "int8 torch._int_mm": Peer(integers, 3.0)}
    yield Case("binary", name, lambda: low_bits.binary_matmul(signs, sign_panels, size, size), peers)
    peers = {"float32 torch.mm": Peer(dense), "int8 torch._int_mm": Peer(integers)}

    def packed_binary() -> Tensor:
        words, scale = low_bits.pack_signs(x, mean=True)
        return low_bits.binary_linear(words, sign_panels, size, ones, x_scale=scale)

    yield Case("binary", f"{name}, packing the input", packed_binary, peers)

    pairs, pair_panels = low_bits.pack_ternary(x, 0.5)[0], low_bits.to_panels(low_bits.pack_ternary(weight, 0.5)[0])
    ternary = {"float32 torch.mm": Peer(dense, 5.0), "int8 torch._int_mm": Peer(integers)}
    yield Case("ternary", name, lambda: low_bits.ternary_matmul(pairs, pair_panels, size, size), ternary)

    words, panels = low_bits.pack_bytes(x_bytes), low_bits.to_panels(low_bits.pack_bytes(w_bytes))
    int8 = {"float32 torch.mm": Peer(dense, 2.5), "int8 torch._int_mm": Peer(integers)}
    yield Case("int8", name, lambda: low_bits.int8_matmul(words, panels, size, size), int8)

    def packed_int8() -> Tensor:
        rows, scale = low_bits.pack_int8(x)
        return low_bits.int8_linear(rows, panels, size, ones, x_scale=scale)

    yield Case("int8", f"{name}, packing the input", packed_int8, peers)


def one_example(size: int = 4096) -> Iterator[Case]:
    """Yields layers whose time is that of reading the weights, and larger batches."""
    weight = torch.randn(size, size)
    for bits in (1, 2, 4):
        codes = torch.randint(0, 1 << bits, (size, size), dtype=torch.uint8)
        levels = torch.arange(1 << bits).float() - (1 << bits) // 2
        packed = low_bits.pack_few_bits(codes, torch.rand(size, size // 128), levels)
        for batch in (1, 16, 128):
            x = torch.randn(batch, size)
            words, scale = low_bits.pack_int8(x)
            bar = 3.0 if bits == 2 and batch == 1 else None
            peers = {"float32 linear": Peer(lambda x=x: F.linear(x, weight), bar)}
            name = f"{bits}-bit weights {size}x{size}, groups of 128, batch {batch}"
            yield Case("few bits", f"{name}, float32", lambda x=x, p=packed: low_bits.few_bits_linear(x, p), peers)
            zero = (1 << bits) // 2
            peers = {"float32 linear": Peer(lambda x=x: F.linear(x, weight))}
            yield Case(
                "few bits",
                f"{name}, int8",
                lambda w=words, s=scale, p=packed, z=zero: low_bits.few_bits_int8_linear(w, p, zero=z, x_scale=s),
                peers,
            )


def convolutions() -> Iterator[Case]:
    """Yields 3 x 3 convolutions, with everything that a layer does."""
    for channels, side, batch in ((64, 56, 1), (256, 14, 8)):
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1)
        x = torch.randn(batch, channels, side, side)
        codes = {
            "binary": BinaryWeights.from_dense,
            "ternary": lambda weight: TernaryWeights.from_dense(weight, threshold=0.5),
            "int8": Int8Weights.from_dense,
            "few bits": FewBitsWeights.from_dense,
        }
        for family, code in codes.items():
            coded = CodedConv2d.from_dense(layer, code)
            name = f"3x3 convolution, {channels} channels, {side}x{side}, batch {batch}"
            peers = {"float32 conv2d": Peer(lambda x=x, c=layer: c(x))}
            yield Case(family, name, lambda x=x, c=coded: c(x), peers)


def main() -> None:
    """Reads the thread counts and prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="thread counts to time with")
    parser.add_argument("--isa", choices=native.instruction_sets(), default=native.isa(), help="instruction set to use")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with torch.inference_mode(), native.force(arguments.isa):
        for count in arguments.threads:
            torch.set_num_threads(count)
            for cases in (products(), one_example(), convolutions()):
                for case in cases:
                    compare(case, count)


def compare(case: Case, threads: int) -> None:
    """Times a case and prints a row for each of its peers."""
    times = interleave({"ours": case.ours, **{name: peer.call for name, peer in case.peers.items()}})
    mine = times["ours"]
    for name, peer in case.peers.items():
        theirs = times[name]
        row = {
            "family": case.family,
            "case": case.name,
            "isa": native.isa(),
            "threads": threads,
            "ours_ms": round(mine.median, 4),
            "peer": name,
            "peer_ms": round(theirs.median, 4),
            "ratio": round(theirs.median / mine.median, 2),
            "spread": round(mine.spread / mine.median + theirs.spread / theirs.median, 3),
            "bar": peer.bar,
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
