import gzip
import importlib.util
import io
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.errors import DataError, MissingExtraError
from gossamer.tasks.readers.images import read_idx, read_jpeg_tars


def idx(array):
    sizes = np.array(array.shape, dtype=">u4").tobytes()
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes(), mtime=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("idx")


def write(folder, *parts):
    paths = [folder / f"{i}.gz" for i in range(4)]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part if isinstance(part, bytes) else idx(part))
    return paths


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 5), height=st.integers(1, 4), width=st.integers(1, 4), seed=st.integers(0, 99))
def test_idx_files_come_back_as_written(folder, count, height, width, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(256, size=(count, height, width)), rng.integers(10, size=count)
    found = read_idx(write(folder, x, y, x[:1], y[:1]))
    np.testing.assert_array_equal(found.train_x.numpy(), x[:, None])
    assert found.train_y.tolist() == y.tolist()
    assert found.test_x.shape == (1, 1, height, width)
    assert found.classes == 10


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"not gzip", "is not a whole gzip file"),
        (idx(np.zeros((2, 3, 3)))[:-9], "is not a whole gzip file"),
        (gzip.compress(b"", mtime=0), "expected an idx file"),
        (gzip.compress(b"\0\0\x0d\x01" + bytes(40), mtime=0), "expected an idx file of unsigned bytes"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(3), mtime=0), "expected an idx file"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x09abc", mtime=0), r"do not hold an array of shape \(9,\)"),
        (np.zeros((3, 3, 3)), r"found images \(3, 3, 3\) and labels \(2,\)"),
        (np.zeros(2), r"found images \(2,\)"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, broken, message):
    labels = np.zeros(2)
    with pytest.raises(DataError, match=message):
        read_idx(write(tmp_path, broken, labels, np.zeros((2, 3, 3)), labels))


def tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.skipif(importlib.util.find_spec("PIL") is not None, reason="Pillow is installed")
def test_jpeg_without_pillow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setenv("GOSSAMER_CACHE", str(tmp_path / "cache"))
    path = tar(tmp_path / "a.tar.gz", {"train/cat/0000.jpg": b"..."})
    with pytest.raises(MissingExtraError, match=r"gossamer\[images\]"):
        read_jpeg_tars([path, path])


def test_jpeg_files_become_images_by_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GOSSAMER_CACHE", str(tmp_path / "cache"))
    pillow = pytest.importorskip("PIL.Image")

    def jpeg(colour):
        stream = io.BytesIO()
        pillow.new("RGB", (8, 8), colour).save(stream, "JPEG", quality=100)
        return stream.getvalue()

    train = tar(tmp_path / "a.tar.gz", {"train/dog/0.jpg": jpeg("red"), "train/cat/0.jpg": jpeg("blue")})
    test = tar(tmp_path / "b.tar.gz", {"test/cat/0.jpg": jpeg("blue"), "test/dog/0.jpg": jpeg("red")})
    found = read_jpeg_tars([train, test])
    assert found.train_y.tolist() == found.test_y.tolist() == [0, 1]
    assert np.abs(found.train_x[1].numpy().mean(axis=(1, 2)) - [254, 0, 0]).max() < 3
    (tmp_path / "b.tar.gz").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"is not a whole tar\.gz"):
        read_jpeg_tars([train, test])
