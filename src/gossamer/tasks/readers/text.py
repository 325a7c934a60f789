"""Reads small tables of integers, with commas or spaces between the columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gossamer.errors import DataError


def read_integers(path: Path) -> NDArray[np.int64]:
    """Returns the (lines, columns) integers of a text file.

    Raises:
        DataError: The file is empty, holds anything else, or has lines of different lengths.
    """
    try:
        text = path.read_text(encoding="ascii").replace(",", " ")
        columns = len(text.partition("\n")[0].split())
        # One split of the whole text is many times faster than a parser that goes line by line.
        return np.array(text.split(), dtype=np.int64).reshape(-1, columns)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: expected the same number of integers on every line ({error})") from error
