"""Times a sparse linear layer (CSR) against the dense one and against torch.sparse.

python -m benchmarks.kernels.csr_matmul --threads 1 2
"""

from __future__ import annotations

import torch

from benchmarks.kernels.cases import compare, csr, threads
from gossamer.kernels import csr_linear


def main() -> None:
    torch.manual_seed(0)
    for count in threads(__doc__):
        for sparsity in (0.5, 0.7, 0.8, 0.9, 0.95):
            weight = torch.randn(1024, 1024) * (torch.rand(1024, 1024) >= sparsity)
            bias = torch.randn(1024)
            indptr, indices, values = csr(weight)
            sparse = torch.sparse_csr_tensor(indptr, indices.long(), values, weight.shape)
            for batch in (1, 8, 64, 256):
                x = torch.randn(batch, 1024)
                with torch.inference_mode():
                    compare(
                        f"linear 1024x1024, {sparsity:.0%} zeros, batch {batch}",
                        count,
                        lambda a=indptr, b=indices, v=values, x=x, c=bias: csr_linear(a, b, v, x, c),
                        {
                            "dense linear": lambda w=weight, x=x, c=bias: torch.nn.functional.linear(x, w, c),
                            "torch.sparse CSR": lambda s=sparse, x=x, c=bias: (s @ x.T).T + c,
                        },
                    )


if __name__ == "__main__":
    main()
