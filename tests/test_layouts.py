"""Storage layouts: what is stored comes back, and takes the bytes that the formulas of the formats say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError, SettingError
from gossamer.layouts import LAYOUTS, best, lay_out, restore, sizes

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.int32]


def sparse(rows: int, columns: int, density: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand(rows, columns, generator=generator) < density
    return torch.randn(rows, columns, generator=generator) * keep


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=0, max_size=3),
    st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    st.sampled_from(DTYPES),
    st.integers(0, 99),
)
def test_every_layout_gives_back_what_it_was_given(
    shape: list[int], density: float, dtype: torch.dtype, seed: int
) -> None:
    count = int(np.prod(shape, dtype=int))
    tensor = (sparse(1, count, density, seed) * 50).to(dtype).reshape(shape)
    for layout in LAYOUTS:
        found = restore(lay_out(tensor, layout))
        assert found.dtype == dtype
        assert torch.equal(found, tensor), layout


def test_long_gaps_and_odd_numbers_come_back() -> None:
    tensor = torch.zeros(3, 1000)
    tensor[0, 700], tensor[2, 999], tensor[2, 998] = float("nan"), 1e-45, float("-inf")
    for layout in LAYOUTS:
        assert np.array_equal(restore(lay_out(tensor, layout)).view(torch.int32), tensor.view(torch.int32)), layout
    for place in (254, 255, 256, 511, 512, 513):
        tensor = torch.zeros(600)
        tensor[place] = 1.0
        assert torch.equal(restore(lay_out(tensor, "gaps")), tensor)


def test_bytes_are_those_of_the_formats() -> None:
    tensor = sparse(300, 500, 0.1)
    nonzeros = int(tensor.count_nonzero())
    held = tensor.view(75, 4, 125, 4).ne(0).any(3).any(1)
    found = sizes(tensor)
    assert found["dense"] == 4 * 150_000
    assert found["bitmask"] == 4 * nonzeros + 150_000 // 8
    assert found["coo"] == nonzeros * (4 + 2 + 2)
    assert found["csr"] == nonzeros * (4 + 2) + 300 * 2
    assert found["blocks"] == int(held.sum()) * (16 * 4 + 1) + 75 * 2
    assert found["gaps"] == nonzeros * (4 + 1)  # no gap reaches 256 at this density
    assert nonzeros * 4 < found["huffman"] < found["gaps"]
    longest = int(tensor.ne(0).sum(1).max())
    assert found["ell"] == 300 * longest * (4 + 2)
    fullest = int(tensor.view(-1, 4).ne(0).sum(1).max())
    assert found["n-m"] == 37_500 * fullest * 4 + 37_500 * fullest * 2 // 8


def test_two_of_four_take_half_the_values_and_two_bits_each() -> None:
    tensor = torch.randn(64, 4, 32).scatter(1, torch.rand(64, 4, 32).argsort(1)[:, :2], 0.0).transpose(1, 2)
    tensor = tensor.reshape(64, 128).contiguous()
    assert sizes(tensor)["n-m"] == 64 * 64 * 4 + 64 * 64 // 4
    assert torch.equal(restore(lay_out(tensor, "n-m")), tensor)
    assert sizes(tensor)["bitmask"] == sizes(tensor)["n-m"]  # a bit a weight, or two for every other one
    assert best(tensor) == "bitmask"


def test_which_layout_is_smallest_depends_on_density_as_is_said_of_them() -> None:
    def smallest(density: float) -> str:
        found = sizes(sparse(1000, 1000, density))
        del found["huffman"]  # smaller than gaps by what coding gains, everywhere
        return min(found, key=lambda layout: found[layout])

    assert smallest(1.0) == "dense"
    assert smallest(0.5) == smallest(0.2) == "bitmask"
    assert smallest(0.05) == smallest(0.02) == "gaps"
    assert smallest(0.0005) == "coo"


def test_damage_and_unknown_layouts_are_told() -> None:
    with pytest.raises(SettingError, match="did you mean 'csr'"):
        lay_out(torch.ones(2), "crs")
    stored = lay_out(sparse(9, 9, 0.5), "csr")
    stored.arrays["columns"] = stored.arrays["columns"] + 200
    with pytest.raises(DataError, match="layout csr"):
        restore(stored)
