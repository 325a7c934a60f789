"""Products of numbers of 1 to 8 bits: binary, ternary, a few bits with scales for groups, and bytes."""

from gossamer.kernels.low_bits.binary import binary_linear as binary_linear
from gossamer.kernels.low_bits.binary import binary_linear_reference as binary_linear_reference
from gossamer.kernels.low_bits.binary import binary_matmul as binary_matmul
from gossamer.kernels.low_bits.binary import binary_matmul_reference as binary_matmul_reference
from gossamer.kernels.low_bits.few_bits import FewBits as FewBits
from gossamer.kernels.low_bits.few_bits import few_bits_int8_linear as few_bits_int8_linear
from gossamer.kernels.low_bits.few_bits import few_bits_int8_linear_reference as few_bits_int8_linear_reference
from gossamer.kernels.low_bits.few_bits import few_bits_linear as few_bits_linear
from gossamer.kernels.low_bits.few_bits import few_bits_linear_reference as few_bits_linear_reference
from gossamer.kernels.low_bits.few_bits import pack_few_bits as pack_few_bits
from gossamer.kernels.low_bits.few_bits import unpack_few_bits as unpack_few_bits
from gossamer.kernels.low_bits.int8 import int8_linear as int8_linear
from gossamer.kernels.low_bits.int8 import int8_linear_reference as int8_linear_reference
from gossamer.kernels.low_bits.int8 import int8_matmul as int8_matmul
from gossamer.kernels.low_bits.int8 import int8_matmul_reference as int8_matmul_reference
from gossamer.kernels.low_bits.panels import from_panels as from_panels
from gossamer.kernels.low_bits.panels import pack_bits as pack_bits
from gossamer.kernels.low_bits.panels import pack_bytes as pack_bytes
from gossamer.kernels.low_bits.panels import pack_codes as pack_codes
from gossamer.kernels.low_bits.panels import to_panels as to_panels
from gossamer.kernels.low_bits.panels import unpack_bits as unpack_bits
from gossamer.kernels.low_bits.panels import unpack_bytes as unpack_bytes
from gossamer.kernels.low_bits.panels import unpack_codes as unpack_codes
from gossamer.kernels.low_bits.quantize import pack_int8 as pack_int8
from gossamer.kernels.low_bits.quantize import pack_int8_reference as pack_int8_reference
from gossamer.kernels.low_bits.quantize import pack_signs as pack_signs
from gossamer.kernels.low_bits.quantize import pack_signs_reference as pack_signs_reference
from gossamer.kernels.low_bits.quantize import pack_ternary as pack_ternary
from gossamer.kernels.low_bits.quantize import pack_ternary_reference as pack_ternary_reference
from gossamer.kernels.low_bits.ternary import ternary_linear as ternary_linear
from gossamer.kernels.low_bits.ternary import ternary_linear_reference as ternary_linear_reference
from gossamer.kernels.low_bits.ternary import ternary_matmul as ternary_matmul
from gossamer.kernels.low_bits.ternary import ternary_matmul_reference as ternary_matmul_reference

__all__ = [
    "FewBits",
    "binary_linear",
    "binary_linear_reference",
    "binary_matmul",
    "binary_matmul_reference",
    "few_bits_int8_linear",
    "few_bits_int8_linear_reference",
    "few_bits_linear",
    "few_bits_linear_reference",
    "from_panels",
    "int8_linear",
    "int8_linear_reference",
    "int8_matmul",
    "int8_matmul_reference",
    "pack_bits",
    "pack_bytes",
    "pack_codes",
    "pack_few_bits",
    "pack_int8",
    "pack_int8_reference",
    "pack_signs",
    "pack_signs_reference",
    "pack_ternary",
    "pack_ternary_reference",
    "ternary_linear",
    "ternary_linear_reference",
    "ternary_matmul",
    "ternary_matmul_reference",
    "to_panels",
    "unpack_bits",
    "unpack_bytes",
    "unpack_codes",
    "unpack_few_bits",
]
