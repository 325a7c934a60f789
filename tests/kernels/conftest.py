from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from gossamer.kernels import native


@pytest.fixture(params=["avx512vnni", "avx512", "avx2", "baseline"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param not in native.instruction_sets():
        pytest.skip(f"no {request.param} kernels here")
    with native.force(request.param):
        yield request.param


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
