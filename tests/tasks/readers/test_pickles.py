import os
import pickle
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from gossamer.errors import DataError, FileError
from gossamer.tasks.readers.pickles import read_array, read_lists, read_matrix

# What Python 2 wrote for np.array([[1, 2], [3, 4]], dtype=">i2"), in the text protocol.
OLD = (
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\nI2\ntcnumpy\ndtype\n"
    b"(S'i2'\nI0\nI1\ntR(I3\nS'>'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x00\\x01\\x00\\x02\\x00\\x03\\x00\\x04'\ntb."
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pickles") / "part"

    def write(value, *, raw=False):
        path.write_bytes(value if raw else pickle.dumps(value, protocol=3))
        return path

    return write


@settings(max_examples=60, deadline=None)
@given(
    array=arrays.arrays(
        st.sampled_from(["f4", ">f8", "i1", ">i4", "u2", "?"]),
        arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    ),
    by_column=st.booleans(),
)
def test_arrays_come_back_as_numpy_wrote_them(file, array, by_column):
    array = np.asfortranarray(array) if by_column else array
    found = read_array(file(array))
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


def test_arrays_of_python_2_are_read(file):
    np.testing.assert_array_equal(read_array(file(OLD, raw=True)), [[1, 2], [3, 4]])


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(0, 5), columns=st.integers(1, 5), density=st.floats(0, 1), seed=st.integers(0, 99))
def test_matrices_come_back_as_scipy_wrote_them(file, rows, columns, density, seed):
    matrix = sparse.random(rows, columns, density, format="csr", random_state=seed, dtype=np.float32)
    found = read_matrix(file(sparse.csr_matrix(matrix)))
    assert found.shape == matrix.shape
    np.testing.assert_array_equal(found.toarray(), matrix.toarray())


def test_dictionaries_of_lists_are_read(file):
    lists = defaultdict(list, {0: [1, 2], 5: [], 2: [70000]})
    assert read_lists(file(lists)) == dict(lists)


class Hostile:
    """Makes a folder when a plain unpickler loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_that_a_pickle_names_is_run(file, tmp_path):
    target = tmp_path / "made-by-pickle"
    for wrapped in (Hostile(str(target)), defaultdict(list, {0: [Hostile(str(target))]})):
        with pytest.raises(DataError, match=r"refused, because it names \w+\.mkdir"):
            read_lists(file(wrapped))
    assert not target.exists()
    pickle.loads(file(Hostile(str(target))).read_bytes())
    assert target.exists()  # the file was hostile indeed


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is not a readable pickle"),
        (OLD[:-40], "is not a readable pickle"),
        (OLD.replace(b"I2\nI2\nt", b"I9\nI2\nt"), "is not a readable pickle"),
        (OLD.replace(b"'i2'", b"'O8'"), "array of type 'O8', expected numbers"),
        (OLD.replace(b"ndarray", b"memmap"), "names numpy.memmap"),
        (b"c__builtin__\nlist\n(I1\nI2\ntR.", "is not a readable pickle"),
        (pickle.dumps([1, 2], protocol=3), "holds a list, expected an array"),
        (pickle.dumps(defaultdict(list), protocol=3), "holds a lists, expected an array"),
    ],
)
def test_damaged_and_foreign_files_are_refused(file, raw, message):
    with pytest.raises(DataError, match=message):
        read_array(file(raw, raw=True))


@pytest.mark.parametrize("lists", [{"a": [1]}, {1: 2}, {1: [1.5]}, {1: [[2]]}])
def test_dictionaries_of_other_things_are_refused(file, lists):
    with pytest.raises(DataError, match="is not a list of integers"):
        read_lists(file(defaultdict(list, lists)))


def test_a_matrix_whose_parts_do_not_fit_is_refused(file):
    matrix = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    matrix.indices = np.array([0, 1, 7], dtype=np.int32)
    with pytest.raises(DataError, match="is not a readable pickle"):
        read_matrix(file(matrix))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match="nowhere"):
        read_array(tmp_path / "nowhere")
