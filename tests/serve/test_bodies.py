"""Bodies: read as they were written, and refused in every other form."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError
from gossamer.kernels import native
from gossamer.runtime import Network, load
from gossamer.serve import bodies
from tests.runtime.networks import small_file

pytestmark = pytest.mark.skipif(not native.available(), reason="needs the native kernels")
X = np.random.default_rng(0).normal(size=(2, 2, 8, 8)).astype(np.float32)


def network() -> Network:
    return load(small_file(), threads=1)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_both_forms_read_what_was_written() -> None:
    assert np.array_equal(bodies.read_json(network(), json.dumps({"inputs": {"input": X.tolist()}}).encode())[0], X)
    for array in (X, np.asfortranarray(X)):
        assert np.array_equal(bodies.read_npy(network(), npy(array))[0], X)
    written = json.loads(bodies.write_json(network(), [X]))["outputs"]["output"]
    assert np.array_equal(np.array(written, np.float32), X)
    assert np.array_equal(np.load(io.BytesIO(bodies.write_npy([X]))), X)


ROW = [[[0.0] * 8] * 8] * 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inputs": {"input": ' + b"[" * 500 + b"]" * 500 + b"}}", "expected input float32"),
        (b"[]", 'expected {"inputs"'),
        (b'{"inputs": []}', 'expected {"inputs"'),
        (b'{"inputs": {}}', "expected input"),
        (b'{"inputs": {"input": [1], "other": 2}}', "expected input"),
        (b'{"inputs": {"input": NaN}}', "NaN is no number"),
        (b'{"inputs": {"input": "text"}}', "other things than numbers"),
        (b'{"inputs": {"input": [[1, 2], [3]]}}', "differ in length"),
        (b'{"inputs": {"input": [null]}}', "other things than numbers"),
        (b'{"inputs": {"input": [true]}}', "other things than numbers"),
        (b'{"inputs": {"input": [1e400]}}', "too large for float32"),
        (b'{"inputs": {"input": [1e39]}}', "too large for float32"),
        (b'{"inputs": {"input": [' + b"9" * 5000 + b"]}}", "no JSON|other things"),
        (b'{"inputs": {"input": []}}', r"found shape \(0,\)"),
        (json.dumps({"inputs": {"input": ROW}}).encode(), r"found shape \(2, 8, 8\)"),
        (json.dumps({"inputs": {"input": [ROW] * 2 + [ROW[:1]]}}).encode(), "differ in length"),
    ],
)
def test_hostile_json(body: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        bodies.read_json(network(), body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no .npy"),
        (npy(X)[:50], "no .npy"),
        (npy(X)[:-1], "bytes after its header"),
        (npy(X) + b"\0", "bytes after its header"),
        (npy(X.astype(np.float64)), "found float64"),
        (npy(X[0]), "found shape"),
        (npy(X[:0]), "has no rows"),
        (npy(X).replace(b"(2, 2, 8, 8)", b"(-2,-2, 8,8)"), "bytes after its header"),
        (npy(X).replace(b"(2, 2, 8, 8)", b"(9**9**9, 1)"), "no .npy"),
        (npy(np.array([{}], object)), "found object"),
        (npy(X).replace(b"'<f4'", b"'|O4'"), "no .npy|found"),
    ],
)
def test_hostile_npy(body: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        bodies.read_npy(network(), body)


@given(st.binary(max_size=200), st.integers(0, 130))
def test_any_bytes_are_refused(data: bytes, at: int) -> None:
    good = npy(X)
    for read, body in (
        (bodies.read_json, data),
        (bodies.read_npy, data),
        (bodies.read_npy, good[:at] + data + good[at + len(data) :]),
    ):
        try:
            found = read(network(), body)
        except DataError:
            continue
        assert found[0].shape[1:] == (2, 8, 8)


def test_a_body_may_be_as_large_as_a_batch_in_json() -> None:
    body = json.dumps({"inputs": {"input": np.full((32, 2, 8, 8), -1.2345678901234567e-100).tolist()}})
    assert len(body) < bodies.most_bytes(network(), 32) < 2 * len(body)
