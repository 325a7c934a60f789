from __future__ import annotations

import torch

from gossamer.kernels import MACS
from gossamer.kernels.low_bits import pack_few_bits
from gossamer.kernels.low_bits.few_bits import FEW_BITS_INT8_LINEAR, FEW_BITS_LINEAR
from tests.kernels.low_bits.families import FAMILIES


def test_a_product_counts_its_pairs_of_numbers():
    out = torch.empty(3, 5)
    for family in FAMILIES.values():
        for operator in family.operators:
            assert MACS[operator]((None, None, 70, None), out) == 3 * 70 * 5
    weight = pack_few_bits(torch.zeros(5, 70, dtype=torch.uint8), torch.ones(5, 1), torch.ones(4))
    matrix = (weight.panels, weight.scales, None)
    assert MACS[FEW_BITS_LINEAR]((torch.ones(3, 70), *matrix, weight.levels, 70, 5, None), out) == 3 * 70 * 5
    assert MACS[FEW_BITS_INT8_LINEAR]((torch.ones(3, 18), *matrix, 2, 0, 70, 70, 5, None, None), out) == 3 * 70 * 5
