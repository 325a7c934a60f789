"""Storage gives back every bit, in the fewest bytes of its layouts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer import coding, storage
from gossamer.errors import DataError

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8]


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def random_tensor(shape: list[int], density: float, dtype: torch.dtype, seed: int, block: bool) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    dense = (torch.randn(shape, generator=rng) * 50).to(dtype)
    mask = torch.rand(shape, generator=rng) < density
    if block and len(shape) >= 2:
        mask = mask[::16].repeat_interleave(16, 0)[: shape[0]]
    return torch.where(mask, dense, torch.zeros((), dtype=dtype))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 40), max_size=4).filter(lambda shape: math.prod(shape) <= 20_000),
    st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.5, 0.9, 1.0]),
    st.sampled_from(DTYPES),
    st.integers(0, 1000),
    st.booleans(),
)
def test_what_was_stored_comes_back(shape, density, dtype, seed, block):
    tensor = random_tensor(shape, density, dtype, seed, block)
    encoded = storage.encode(tensor)
    back = storage.decode(encoded)
    assert back.shape == tensor.shape
    assert back.dtype == tensor.dtype
    assert bits(back) == bits(tensor)
    assert encoded.bytes == storage.stored_bytes(tensor)
    assert encoded.bytes <= tensor.numel() * tensor.element_size()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=60), st.integers(0, 900))
def test_every_bit_pattern_survives(patterns, zeros):
    """NaN payloads, infinities and subnormals come back bit for bit; only the sign of a zero may go."""
    raw = np.array(patterns + [0] * zeros, dtype=np.uint32)
    tensor = torch.from_numpy(raw.view(np.float32).copy())
    back = storage.decode(storage.encode(tensor)).numpy().view(np.uint32)
    changed = raw != back
    assert (raw[changed] == 0x80000000).all()
    assert (back[changed] == 0).all()


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        (1.0, 4096 * 4),  # dense
        (0.5, 2048 * 4 + 4096 // 8),  # bitmask: one bit a place
        (1 / 64, 64 * 4 + 64),  # gaps: one byte a nonzero
    ],
)
def test_sizes_by_hand(density, expected):
    tensor = torch.zeros(4096)  # a vector has no blocks of rows
    tensor[:: int(1 / density)] = torch.arange(1.0, 4096 * density + 1)
    kept = int(4096 * density)
    few = math.inf if kept > coding.MOST else kept * 4 + kept * math.ceil(math.log2(kept)) // 8
    assert storage.stored_bytes(tensor) == expected < few + expected - kept * 4


def test_few_different_values_take_a_table_and_their_codes():
    values = torch.tensor([0.5, -1.0, 3.0, 7.0])
    tensor = values[torch.randint(4, (64, 64), generator=torch.Generator().manual_seed(0))]
    encoded = storage.encode(tensor)
    assert encoded.record == {"shape": [64, 64], "unit": 0, "word": 0, "code": "packed"}
    assert encoded.bytes == 4 * 4 + 64 * 64 * 2 // 8
    assert torch.equal(storage.decode(encoded), tensor)


def test_few_different_values_and_many_zeros_take_positions_table_and_codes():
    generator = torch.Generator().manual_seed(0)
    tensor = torch.tensor([0.5, -1.0])[torch.randint(2, (128, 128), generator=generator)]
    tensor *= torch.rand(128, 128, generator=generator) < 0.1
    encoded = storage.encode(tensor)
    kept = int(tensor.count_nonzero())
    assert set(encoded.arrays) == {"table", "codes", "positions"} == set(storage.parts(encoded.record))
    assert encoded.bytes == 2 * 4 + -(-kept // 8) + min(128 * 128 // 8, kept)
    assert torch.equal(storage.decode(encoded), tensor)


def test_one_value_far_out_takes_one_wide_word():
    tensor = torch.zeros(1_000_000)
    tensor[999_999] = 3.0
    assert storage.stored_bytes(tensor) == 4 + 4  # the value, and one gap of 32 bits
    assert torch.equal(storage.decode(storage.encode(tensor)), tensor)


def test_shared_columns_cost_one_position_for_sixteen_rows():
    mask = torch.zeros(4, 512, dtype=torch.bool)
    mask[:, ::2] = True
    tensor = torch.randn(64, 512, generator=torch.Generator().manual_seed(0)) * mask.repeat_interleave(16, 0)
    encoded = storage.encode(tensor)
    assert encoded.record["unit"] == 16
    assert encoded.bytes == 4 * 256 * 16 * 4 + 4 * 512 // 8
    assert torch.equal(storage.decode(encoded), tensor)


def test_an_all_zero_tensor_takes_no_bytes():
    assert storage.stored_bytes(torch.zeros(100, 100)) == 0


def test_a_gap_of_just_the_filler_is_not_lost():
    for gap in (254, 255, 256, 509, 510, 511):
        tensor = torch.zeros(2000, dtype=torch.float64)
        tensor[gap] = 1.0
        tensor[gap + 1 :: 40] = 2.0
        assert torch.equal(storage.decode(storage.encode(tensor)), tensor)


def test_views_and_sparse_layouts_are_stored_as_what_they_hold():
    base = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(storage.decode(storage.encode(base.t())), base.t())
    assert torch.equal(storage.decode(storage.encode(base.to_sparse())), base)


def sparse_example() -> storage.Encoded:
    tensor = torch.zeros(30, 30)
    tensor[3, 4], tensor[20, 1] = 1.0, 2.0
    return storage.encode(tensor)


def coded_example() -> storage.Encoded:
    return storage.encode(torch.arange(3.0).repeat(400))


@pytest.mark.parametrize(
    "damage",
    [
        lambda record, arrays: record.pop("shape"),
        lambda record, arrays: record.update(shape=[30, 31, "x"]),
        lambda record, arrays: record.update(shape=[2, 2]),
        lambda record, arrays: record.update(unit=3),
        lambda record, arrays: record.update(word=64),
        lambda record, arrays: arrays.pop("positions"),
        lambda record, arrays: arrays.update(positions=arrays["positions"][:-1]),
        lambda record, arrays: arrays.update(positions=arrays["positions"].float()),
        lambda record, arrays: arrays.update(values=arrays["values"][:1]),
    ],
)
def test_parts_that_do_not_belong_together_are_named(damage):
    encoded = sparse_example()
    record, arrays = dict(encoded.record), dict(encoded.arrays)
    damage(record, arrays)
    with pytest.raises(DataError, match="stored tensor"):
        storage.decode(storage.Encoded(record=record, arrays=arrays))


def test_a_small_tensor_is_not_worth_a_record():
    assert storage.stored_bytes(torch.zeros(60)) == 60 * 4
    assert storage.encode(torch.zeros(60)).record == {}
    assert storage.stored_bytes(torch.zeros(64)) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda record, arrays: record.update(code="morse"),
        lambda record, arrays: record.update(shape=[2, 2]),
        lambda record, arrays: arrays.pop("table"),
        lambda record, arrays: arrays.update(table=arrays["table"][:1]),
        lambda record, arrays: arrays.update(codes=arrays["codes"][:-1]),
    ],
)
def test_codes_that_do_not_belong_to_the_record_are_named(damage):
    encoded = coded_example()
    record, arrays = dict(encoded.record), dict(encoded.arrays)
    damage(record, arrays)
    with pytest.raises(DataError, match="stored tensor"):
        storage.decode(storage.Encoded(record=record, arrays=arrays))
