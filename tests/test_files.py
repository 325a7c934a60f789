from __future__ import annotations

import errno
from pathlib import Path
from typing import BinaryIO

import pytest

from gossamer.errors import FileError
from gossamer.files import read_json, write_atomic, write_json


def test_a_full_disk_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_json(tmp_path / "run.json", {"good": 1})

    def full(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FileError, match=r"run\.json: could not be written \(No space left on device\)"):
        write_atomic(path, full)
    assert read_json(path) == {"good": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_a_bug_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(stream: BinaryIO) -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        write_atomic(tmp_path / "new" / "file", broken)
    assert list((tmp_path / "new").iterdir()) == []


def test_not_a_number_never_reaches_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "run.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"run\.json: is not JSON"):
        read_json(path)
    with pytest.raises(FileError, match="could not be read"):
        read_json(tmp_path / "missing.json")


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    assert write_json(tmp_path / "run.json", {}).stat().st_mode == plain.stat().st_mode
