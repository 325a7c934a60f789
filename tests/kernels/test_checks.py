from __future__ import annotations

import pytest
import torch
from hypothesis import given

from gossamer.errors import DataError
from gossamer.kernels import check_csr
from gossamer.kernels.checks import check_device, check_float, check_pattern
from tests.kernels.patterns import patterns

INDPTR, INDICES = torch.tensor([0, 2, 2, 3]), torch.tensor([0, 3, 1])


@given(patterns())
def test_sound_matrices_pass(pattern):
    indptr, indices, columns = pattern
    check_csr(indptr, indices, (indptr.shape[0] - 1, columns))


@pytest.mark.parametrize(
    ("indptr", "indices", "shape", "message"),
    [
        (INDPTR.int(), INDICES, (3, 4), r"indptr: expected int64 .* found int32 of shape \(4,\)"),
        (INDPTR[:0], INDICES, (3, 4), r"indptr: expected int64 of shape \(rows \+ 1,\)"),
        (INDPTR, INDICES.float(), (3, 4), "indices: expected int32 or int64 .* found float32"),
        (INDPTR, INDICES[None], (3, 4), r"indices: .* found int64 of shape \(1, 3\)"),
        (INDPTR, INDICES, (4, 4), "indptr: expected 5 entries for 4 rows, found 4"),
        (INDPTR, INDICES[:2], (3, 4), "indptr: expected to run from 0 to 2, .* found 0 to 3"),
        (INDPTR + 1, INDICES, (3, 4), "found 1 to 4"),
        (torch.tensor([0, 3, 2, 3]), INDICES, (3, 4), "indptr: falls from 3 to 2 at row 1"),
        (INDPTR, INDICES, (3, 3), r"indices: expected values in \[0, 3\), found 3"),
        (INDPTR, INDICES - 1, (3, 4), r"indices: expected values in \[0, 4\), found -1"),
    ],
)
def test_what_is_wrong_is_named(indptr, indices, shape, message):
    with pytest.raises(DataError, match=message):
        check_csr(indptr, indices, shape)


def test_the_callers_name_for_the_indices_is_used():
    with pytest.raises(DataError, match="columns: expected int32 or int64"):
        check_pattern(INDPTR, INDICES.float(), columns="columns")


def test_floats_and_devices():
    with pytest.raises(DataError, match=r"x: expected a floating-point dtype, found int64 of shape \(3,\)"):
        check_float(INDICES, "x")
    with pytest.raises(DataError, match="values: expected the dtype of x, float64, found float32"):
        check_float(torch.ones(1), "values", like=torch.ones(1, dtype=torch.float64))
    with pytest.raises(DataError, match="x: is on meta, but indptr is on cpu"):
        check_device(INDPTR, torch.ones(1, device="meta"), "x")
