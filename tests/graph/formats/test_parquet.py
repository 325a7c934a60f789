import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from gossamer.errors import DataError, FileError
from gossamer.graph import read_edges

ROWS = st.lists(
    st.tuples(
        st.integers(0, 2**40),
        st.integers(0, 2**40),
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-9, 9),
    ),
    min_size=1,
    max_size=10,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parquet")


def write(folder, **columns):
    path = folder / "edges.parquet"
    parquet.write_table(pa.table(columns), path)
    return path


@given(ROWS)
def test_edges_come_back(folder, rows):
    source, target, weight, time = zip(*rows, strict=True)
    edges = read_edges(write(folder, t=time, src=source, dst=target, w=weight))
    assert edges.ids[edges.source].tolist() == list(source)
    assert edges.ids[edges.target].tolist() == list(target)
    assert edges.weight.tolist() == list(weight)
    assert edges.time.tolist() == list(time)


def test_strings_dictionaries_small_integers_and_dates(tmp_path):
    day = datetime.datetime(1970, 1, 1, 0, 0, 5)
    edges = read_edges(
        write(
            tmp_path,
            source=pa.array(["b", "a"]).dictionary_encode(),
            target=pa.array(["a", "c"], pa.large_string()),
            weight=pa.array([1, 2], pa.int8()),
            time=pa.array([day, day], pa.timestamp("ms")),
        )
    )
    assert edges.ids.tolist() == ["a", "b", "c"]
    assert edges.weight.tolist() == [1.0, 2.0]
    assert edges.time.tolist() == [5000, 5000]
    edges = read_edges(write(tmp_path, a=pa.array([7], pa.uint8()), b=pa.array([9], pa.int32())), string_ids=True)
    assert edges.ids.tolist() == ["7", "9"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"source": [0, None], "target": [1, 2]}, "row 1: source is missing"),
        ({"source": [0, -4], "target": [1, 2]}, "row 1: source is -4"),
        ({"source": [0.5], "target": [1.0]}, "source is of type double"),
        ({"source": [0], "target": [1], "weight": [float("nan")]}, "row 0: weight is nan"),
        ({"source": [0], "target": [1], "time": ["noon"]}, "time is of type string"),
        ({"source": [0], "colour": [1]}, "no column is the target"),
        ({"source": pa.array([], pa.int64()), "target": pa.array([], pa.int64())}, "has no rows"),
        ({"source": pa.array([2**63], pa.uint64()), "target": [1]}, "values that fit int64"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, columns, message):
    path = write(tmp_path, **columns)
    with pytest.raises(DataError, match=message) as caught:
        read_edges(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_truncated_files_are_refused(tmp_path):
    path = write(tmp_path, source=list(range(1000)), target=list(range(1000)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileError, match="truncated or damaged"):
        read_edges(path)
