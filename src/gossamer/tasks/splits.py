"""Draws training, validation and test rows at random, by seed."""

from __future__ import annotations

import torch
from torch import Tensor

from gossamer.errors import DataError
from gossamer.tasks.checks import check_setting
from gossamer.tasks.seeding import generator


def per_class(y: Tensor, *, train: int = 20, val: int = 30, seed: int = 0) -> dict[str, Tensor]:
    """Draws a fixed number of rows of every class; the rest is the test split (Shchur et al. 2018).

    Args:
        y: (N,) labels; negative ones (unknown) go to no split.
        train: Training rows a class, at least 1.
        val: Validation rows a class, at least 0.
        seed: Which draw.

    Returns:
        "train", "val" and "test" to (N,) boolean.

    Raises:
        DataError: A class has too few rows for one test row to be left.
        SettingError: A number is out of its range.
    """
    check_setting("per_class", train, ge=1)
    check_setting("val_per_class", val, ge=0)
    masks = {split: torch.zeros(len(y), dtype=torch.bool) for split in ("train", "val", "test")}
    labels = y.cpu()
    order = torch.randperm(len(labels), generator=generator(seed))
    for label in torch.unique(labels[labels >= 0]).tolist():
        rows = order[labels[order] == label]
        if len(rows) <= train + val:
            raise DataError(
                f"class {label} has {len(rows)} rows, expected more than {train} for training + {val} for"
                f" validation; ask for fewer a class"
            )
        masks["train"][rows[:train]] = True
        masks["val"][rows[train : train + val]] = True
        masks["test"][rows[train + val :]] = True
    return masks


def fractions(rows: int, *, val: float, test: float, seed: int = 0) -> dict[str, Tensor]:
    """Draws fractions of `rows`; what is left is for training.

    Returns:
        "train", "val" and "test" to row numbers in random order, (n,) int64.

    Raises:
        DataError: A split of more than 0 would be empty.
        SettingError: A fraction is below 0, or the two leave nothing for training.
    """
    check_setting("val", val, ge=0, lt=1)
    check_setting("test", test, ge=0, lt=1 - val)
    order = torch.randperm(rows, generator=generator(seed))
    n_val, n_test = round(rows * val), round(rows * test)
    split = {"val": order[:n_val], "test": order[n_val : n_val + n_test], "train": order[n_val + n_test :]}
    for name, share in (("train", 1.0), ("val", val), ("test", test)):
        if not len(split[name]) and share != 0.0:
            raise DataError(
                f"the {name} split of {rows} rows would be empty (val {val:g}, test {test:g});"
                f" expected fractions that leave every split at least one row"
            )
    return split
