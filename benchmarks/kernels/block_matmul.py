"""Times a linear layer in blocks of 16 rows that share their columns against the dense one.

python -m benchmarks.kernels.block_matmul --threads 1 2
"""

from __future__ import annotations

import torch

from benchmarks.kernels.cases import compare, threads
from gossamer.kernels import block_linear, to_blocks


def main() -> None:
    torch.manual_seed(0)
    for count in threads(__doc__):
        for sparsity in (0.25, 0.5, 0.7, 0.8, 0.9, 0.95):
            kept = torch.rand(64, 1, 1024) >= sparsity
            weight = (torch.randn(64, 16, 1024) * kept).reshape(1024, 1024)
            bias = torch.randn(1024)
            blocks = to_blocks(weight)
            for batch in (1, 8, 64, 256):
                x = torch.randn(batch, 1024)
                with torch.inference_mode():
                    compare(
                        f"linear 1024x1024, {sparsity:.0%} zeros, batch {batch}",
                        count,
                        lambda p=blocks, x=x, c=bias: block_linear(*p, x, 1024, c),
                        {"dense linear": lambda w=weight, x=x, c=bias: torch.nn.functional.linear(x, w, c)},
                    )


if __name__ == "__main__":
    main()
