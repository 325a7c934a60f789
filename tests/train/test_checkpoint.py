from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from gossamer.errors import DataError, FileError
from gossamer.train.checkpoint import cloned, load_state, save_state

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
    torch.bool, torch.complex64, torch.complex128,
]  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Equal in type, structure and bits."""
    if type(a) is not type(b):
        return False
    match a:
        case torch.Tensor():
            raw = [t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
            return (a.dtype, a.shape) == (b.dtype, b.shape) and torch.equal(*raw)
        case dict():
            return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
        case list() | tuple():
            return len(a) == len(b) and all(map(same, a, b))
        case float():
            return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)


tensors = st.builds(
    lambda dtype, shape, seed: (
        torch.randint(0, 256, (*shape, 16), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        .view(dtype)
        .clone()
        if dtype is not torch.bool
        else torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).bool()
    ),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 3), max_size=2).map(tuple),
    st.integers(0, 99),
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | tensors
states = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers() | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=states)
def test_any_state_comes_back_bit_for_bit(tmp_path: Path, state: Any) -> None:
    assert same(load_state(save_state(tmp_path / "state", state)), state)


def test_views_scalars_and_tensors_that_share_memory(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {
        "t": base.t(),
        "row": base[1],
        "scalar": torch.tensor(2j),
        "empty": torch.empty(0, 3),
        "again": base,
    }
    assert same(load_state(save_state(tmp_path / "state", state)), state)


def test_the_state_of_an_optimizer_goes_back_into_it(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    weight.grad = torch.tensor([1.0, -2.0, 3.0])
    optimizer.step()
    state = load_state(save_state(tmp_path / "state", optimizer.state_dict()))
    assert list(state["state"]) == [0]
    assert state["param_groups"][0]["betas"] == (0.9, 0.999)

    twin = torch.nn.Parameter(weight.detach().clone())
    other = torch.optim.Adam([twin], lr=0.1)
    other.load_state_dict(state)
    twin.grad = weight.grad = torch.tensor([0.5, 0.5, 0.5])
    optimizer.step()
    other.step()
    assert torch.equal(weight, twin)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": [1, {2}]}, r"state\['a'\]\[1\] is a set"),
        ({"a": {1.5: 0}}, r"state\['a'\] has the key 1.5"),
        ({True: 0}, "state has the key True"),
        ((torch.eye(2).to_sparse(),), r"state\[0\] is a torch.sparse_coo tensor"),
        (object(), "state is a object"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_named(tmp_path: Path, state: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        save_state(tmp_path / "state", state)
    assert list(tmp_path.iterdir()) == []


def test_no_byte_may_be_missing_or_changed(tmp_path: Path) -> None:
    path = save_state(tmp_path / "state", {"weight": torch.arange(4.0), "epoch": 3})
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(FileError, match=r"state: "):
            load_state(path)
    for place in range(8, len(content), 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(FileError, match=r"state: "):
            load_state(path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        load_state(tmp_path / "none")
    save_file({"a": torch.ones(1)}, tmp_path / "foreign")
    with pytest.raises(FileError, match="its format is None"):
        load_state(tmp_path / "foreign")
    (tmp_path / "text").write_text("hello, world; this is not a state at all")
    with pytest.raises(FileError, match="truncated or foreign"):
        load_state(tmp_path / "text")


def test_a_clone_shares_nothing() -> None:
    state = {"a": [torch.ones(2), (torch.zeros(1), "text")]}
    copy = cloned(state)
    assert same(copy, state)
    state["a"][0].fill_(5)  # type: ignore[union-attr]
    state["a"].append(1)
    assert same(copy, {"a": [torch.ones(2), (torch.zeros(1), "text")]})
