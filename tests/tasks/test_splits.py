import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError, SettingError
from gossamer.tasks import splits
from gossamer.tasks.seeding import generator


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(6, 20), min_size=1, max_size=4),
    train=st.integers(1, 3),
    val=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_per_class_draws_as_many_of_each_class_and_leaves_the_rest(sizes, train, val, seed):
    y = torch.cat([torch.full((size,), c) for c, size in enumerate(sizes)] + [torch.tensor([-1])])
    masks = splits.per_class(y, train=train, val=val, seed=seed)
    counts = {name: torch.bincount(y[mask], minlength=len(sizes)).tolist() for name, mask in masks.items()}
    assert counts["train"] == [train] * len(sizes)
    assert counts["val"] == [val] * len(sizes)
    assert counts["test"] == [size - train - val for size in sizes]
    total = sum(mask.long() for mask in masks.values())
    assert total.tolist() == [1] * (len(y) - 1) + [0]  # no row twice, the unknown label nowhere


def test_per_class_depends_on_the_seed_only():
    y = torch.arange(100) % 2
    first, again, other = (splits.per_class(y, train=5, val=5, seed=seed)["train"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_per_class_names_a_class_that_is_too_small():
    with pytest.raises(DataError, match="class 1 has 3 rows, expected more than 2 for training"):
        splits.per_class(torch.tensor([0, 0, 0, 0, 1, 1, 1]), train=2, val=1)


def test_fractions_share_out_every_row_once():
    found = splits.fractions(100, val=0.1, test=0.25, seed=3)
    assert {name: len(rows) for name, rows in found.items()} == {"train": 65, "val": 10, "test": 25}
    assert torch.cat(list(found.values())).sort().values.tolist() == list(range(100))
    assert len(splits.fractions(100, val=0.1, test=0.0)["test"]) == 0


@pytest.mark.parametrize(("val", "test", "name"), [(-0.1, 0.1, "val"), (1.0, 0.0, "val"), (0.5, 0.5, "test")])
def test_fractions_out_of_range_are_refused(val, test, name):
    with pytest.raises(SettingError, match=f"{name} is .* below"):
        splits.fractions(10, val=val, test=test)


def test_per_class_counts_out_of_range_are_refused():
    y = torch.zeros(9, dtype=torch.int64)
    with pytest.raises(SettingError, match="per_class is 0; expected a number at least 1"):
        splits.per_class(y, train=0, val=1)
    with pytest.raises(SettingError, match="val_per_class is -1; expected a number at least 0"):
        splits.per_class(y, train=1, val=-1)


@pytest.mark.parametrize(("rows", "val", "test", "empty"), [(3, 0.1, 0.1, "val"), (2, 0.45, 0.54, "train")])
def test_fractions_refuses_a_split_without_rows(rows, val, test, empty):
    with pytest.raises(DataError, match=f"the {empty} split of {rows} rows would be empty"):
        splits.fractions(rows, val=val, test=test)


def test_generators_of_different_keys_are_unrelated():
    keys = [(0,), (1,), (0, 1), (1, 0), (0, 1, 0), (2**32, 0)]
    drawn = {tuple(torch.rand(4, generator=generator(*key)).tolist()) for key in keys}
    assert len(drawn) == len(keys)
    assert torch.rand(4, generator=generator(5, 6)).tolist() == torch.rand(4, generator=generator(5, 6)).tolist()
