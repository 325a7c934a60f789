from __future__ import annotations

import pytest
import torch

from gossamer.tasks.readers.decoded import once


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GOSSAMER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


class Decoder:
    """Makes images of a file's bytes, and counts how often."""

    calls = 0

    def __call__(self, path):
        self.calls += 1
        pixels = torch.tensor(list(path.read_bytes()), dtype=torch.uint8).view(-1, 1, 1, 1)
        return pixels, torch.arange(len(pixels)), ["cat", "dög"]


def same(one, other):
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]) and one[2] == other[2]


def test_content_is_decoded_once_wherever_it_lies(cache, tmp_path):
    decoder, one, two = Decoder(), tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"abc")
    two.write_bytes(b"abc")
    first = once(one, decoder)
    assert same(once(one, decoder), first)
    assert same(once(two, decoder), first)
    assert decoder.calls == len(list(cache.iterdir())) == 1
    two.write_bytes(b"abd")
    assert once(two, decoder)[0].flatten().tolist() == list(b"abd")
    assert decoder.calls == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_file_is_made_anew(cache, tmp_path, damage):
    decoder, path = Decoder(), tmp_path / "one"
    path.write_bytes(bytes(range(200)))
    first = once(path, decoder)
    kept = next(cache.iterdir())
    content = bytearray(kept.read_bytes())
    content[-3] ^= 1
    kept.write_bytes({"cut": content[:-9], "flipped": content, "empty": b"", "foreign": b"PK\3\4" + bytes(99)}[damage])
    assert same(once(path, decoder), first)
    assert decoder.calls == 2
    assert same(once(path, decoder), first)
    assert decoder.calls == 2


def test_where_nothing_can_be_kept_everything_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GOSSAMER_CACHE", str(tmp_path / "file"))
    decoder, path = Decoder(), tmp_path / "one"
    path.write_bytes(b"abc")
    for _ in range(2):
        assert once(path, decoder)[2] == ["cat", "dög"]
    assert decoder.calls == 2
