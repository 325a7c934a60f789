"""The graph attention network: its size on Cora, and heads that do not divide its width."""

import pytest

from gossamer.errors import ModelError
from gossamer.models.graph import GAT


def test_the_number_of_parameters_on_cora():
    # Heads of 8 eight times, then one head of 7; two attention vectors a head.
    expected = 1433 * 64 + 3 * 64 + 64 * 7 + 3 * 7
    assert sum(p.numel() for p in GAT(1433, 64, 7).parameters()) == expected


def test_heads_must_divide_the_width():
    with pytest.raises(ModelError, match="hidden is 10; expected a multiple of the 8 heads"):
        GAT(6, 10, 3)
