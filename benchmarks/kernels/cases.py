"""What the kernel benchmarks share: sparse matrices, and one JSON row a comparison."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from benchmarks.timing import interleave
from gossamer.kernels import native


def threads(description: str | None) -> Iterator[int]:
    """Reads `--threads` from the command line and yields each count after setting it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="thread counts to time with")
    for count in parser.parse_args().threads:
        torch.set_num_threads(count)
        yield count


def compare(case: str, count: int, ours: Callable[[], Tensor], peers: Mapping[str, Callable[[], Tensor]]) -> None:
    """Checks that the peers agree, times all of them in turns, and prints one row a peer."""
    expected = ours()
    for name, peer in peers.items():
        torch.testing.assert_close(
            peer(), expected, rtol=1e-3, atol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )
    times = interleave({"ours": ours, **peers})
    mine = times["ours"]
    for name in peers:
        peer_time = times[name]
        row = {
            "case": case,
            "isa": native.isa(),
            "threads": count,
            "ours_ms": round(mine.median, 4),
            "peer": name,
            "peer_ms": round(peer_time.median, 4),
            "ratio": round(peer_time.median / mine.median, 2),
            "spread": round(mine.spread / mine.median + peer_time.spread / peer_time.median, 3),
        }
        print(json.dumps(row), flush=True)


def csr(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns (indptr, indices, values) of a dense matrix."""
    kept = weight != 0
    indptr = torch.zeros(weight.shape[0] + 1, dtype=torch.int64)
    indptr[1:] = kept.sum(1).cumsum(0)
    return indptr, kept.nonzero()[:, 1].int().contiguous(), weight[kept]
