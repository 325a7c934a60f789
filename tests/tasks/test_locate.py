import zipfile
from pathlib import Path

import pytest

from gossamer.errors import DataError, FileError
from gossamer.tasks import locate


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty data folder and an empty cache."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    monkeypatch.setenv("GOSSAMER_DATA", str(data))
    monkeypatch.setenv("GOSSAMER_CACHE", str(cache))
    return data, cache


def put(path, content="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_the_data_folder_comes_before_the_cache(folders):
    data, cache = folders
    assert locate.folders() == [data, cache]
    assert locate.find("a/b") is None
    in_cache = put(cache / "a/b")
    assert locate.find("a/b") == in_cache
    in_data = put(data / "a/b")
    assert locate.locate("set", ["a/b"]) == [in_data]


def test_the_cache_is_where_the_system_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("GOSSAMER_CACHE", raising=False)
    monkeypatch.delenv("GOSSAMER_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    found = {}
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(locate.sys, "platform", platform)
        found[platform] = locate.cache()
    assert found == {
        "linux": tmp_path / "gossamer",
        "darwin": tmp_path / "home" / "Library" / "Caches" / "gossamer",
        "win32": tmp_path / "gossamer",
    }
    assert locate.folders() == [locate.cache()]


def test_a_missing_file_names_the_set_the_file_and_the_folders(folders):
    data, cache = folders
    put(data / "set/one")
    with pytest.raises(DataError) as caught:
        locate.locate("set", ["set/one", "set/two"])
    message = str(caught.value)
    for part in ("set: ", "set/two", str(data), str(cache), "no public download", "GOSSAMER_DATA"):
        assert part in message
    assert "\n" not in message


def test_only_missing_files_are_downloaded_and_only_to_the_cache(folders, tmp_path):
    data, cache = folders
    put(data / "set/one", "mine")
    put(tmp_path / "server/two", "theirs")
    asked = []

    def url(file):
        asked.append(file)
        return (tmp_path / "server" / Path(file).name).as_uri()

    paths = locate.locate("set", ["set/one", "set/two"], url)
    assert paths == [data / "set/one", cache / "set/two"]
    assert paths[1].read_text() == "theirs"
    assert asked == ["set/two"]
    assert locate.locate("set", ["set/one", "set/two"], url) == paths
    assert asked == ["set/two"]


def test_a_download_that_fails_says_so_and_leaves_nothing(folders, tmp_path):
    _, cache = folders
    gone = (tmp_path / "server/gone").as_uri()
    with pytest.raises(DataError, match=r"found no a/gone in .* the download failed \(file://.*gone"):
        locate.locate("set", ["a/gone"], lambda _: gone)
    assert not cache.exists()
    with pytest.raises(FileError, match="not-a-scheme"):
        locate.download("not-a-scheme", cache / "x")


def test_one_member_of_an_archive_can_be_downloaded(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("set/part.txt", "inside")
    address = (tmp_path / "set.zip").as_uri()
    assert locate.download(f"{address}#set/part.txt", tmp_path / "out/part.txt").read_text() == "inside"
    with pytest.raises(FileError, match="other"):
        locate.download(f"{address}#set/other.txt", tmp_path / "out/other.txt")
    put(tmp_path / "set.zip", "no archive")
    with pytest.raises(FileError, match="not a zip file"):
        locate.download(f"{address}#set/part.txt", tmp_path / "out/third.txt")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["part.txt"]
