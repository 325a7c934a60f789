import gzip

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gossamer.graph.formats.streams import blocks


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("streams") / "file"


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b""))), st.integers(1, 20), st.booleans())
def test_blocks_end_with_lines_and_join_to_the_file(path, lines, size, final):
    data = b"\n".join(lines) + (b"\n" if final else b"")
    path.write_bytes(gzip.compress(data))
    found = list(blocks(path, size))
    assert b"".join(found) == data
    assert all(block.endswith(b"\n") for block in found[:-1])
    assert all(found)


def test_members_written_one_after_the_other_are_all_read(tmp_path):
    for name, compress in (("a.gz", gzip.compress), ("a.zst", zstandard.ZstdCompressor().compress)):
        path = tmp_path / name
        path.write_bytes(compress(b"0 1\n") + compress(b"1 2\n"))
        assert b"".join(blocks(path)) == b"0 1\n1 2\n"
