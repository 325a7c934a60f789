"""Sparse products as torch operators: native on the CPU, with gradients and a pure-torch reference of each."""

from gossamer.kernels import native as native
from gossamer.kernels.aggregate import aggregate as aggregate
from gossamer.kernels.aggregate import aggregate_reference as aggregate_reference
from gossamer.kernels.aggregate import edge_dot as edge_dot
from gossamer.kernels.aggregate import edge_dot_reference as edge_dot_reference
from gossamer.kernels.attention import attend_additive as attend_additive
from gossamer.kernels.attention import attend_dot as attend_dot
from gossamer.kernels.attention import attend_mixed as attend_mixed
from gossamer.kernels.attention import head_dots as head_dots
from gossamer.kernels.block_matmul import block_linear as block_linear
from gossamer.kernels.block_matmul import block_linear_reference as block_linear_reference
from gossamer.kernels.block_matmul import block_matmul as block_matmul
from gossamer.kernels.block_matmul import block_matmul_reference as block_matmul_reference
from gossamer.kernels.blocks import Blocks as Blocks
from gossamer.kernels.blocks import from_blocks as from_blocks
from gossamer.kernels.blocks import to_blocks as to_blocks
from gossamer.kernels.checks import check_csr as check_csr
from gossamer.kernels.conv2d import Steps as Steps
from gossamer.kernels.conv2d import sparse_conv2d as sparse_conv2d
from gossamer.kernels.csr_matmul import csr_linear as csr_linear
from gossamer.kernels.csr_matmul import csr_linear_reference as csr_linear_reference
from gossamer.kernels.csr_matmul import csr_matmul as csr_matmul
from gossamer.kernels.csr_matmul import csr_matmul_reference as csr_matmul_reference
from gossamer.kernels.macs import MACS as MACS
from gossamer.kernels.maximum import maximum as maximum
from gossamer.kernels.maximum import maximum_reference as maximum_reference
from gossamer.kernels.propagate import gatherable as gatherable
from gossamer.kernels.propagate import propagate as propagate
from gossamer.kernels.propagate import propagate_reference as propagate_reference
from gossamer.kernels.propagate import quantize_rows as quantize_rows
from gossamer.kernels.transpose import Transpose as Transpose
from gossamer.kernels.transpose import transpose_csr as transpose_csr

__all__ = [
    "MACS",
    "Blocks",
    "Steps",
    "Transpose",
    "aggregate",
    "aggregate_reference",
    "attend_additive",
    "attend_dot",
    "attend_mixed",
    "block_linear",
    "block_linear_reference",
    "block_matmul",
    "block_matmul_reference",
    "check_csr",
    "csr_linear",
    "csr_linear_reference",
    "csr_matmul",
    "csr_matmul_reference",
    "edge_dot",
    "edge_dot_reference",
    "from_blocks",
    "gatherable",
    "head_dots",
    "maximum",
    "maximum_reference",
    "native",
    "propagate",
    "propagate_reference",
    "quantize_rows",
    "sparse_conv2d",
    "to_blocks",
    "transpose_csr",
]
