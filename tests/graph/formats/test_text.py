import pytest

from gossamer.errors import DataError
from gossamer.graph.formats.text import read_text


def read(tmp_path, text, block_bytes, **changes):
    path = tmp_path / "edges.txt"
    path.write_text(text)
    arguments = {"columns": None, "delimiter": None, "header": None, "comment": "#%", "string_ids": None} | changes
    return read_text(path, block_bytes=block_bytes, **arguments)


@pytest.mark.parametrize("block_bytes", [64, 100, 10_000])
def test_lines_keep_their_numbers_across_blocks(tmp_path, block_bytes):
    text = "# head\nsource target\n" + "".join(f"{i} {i + 1}\n" for i in range(30)) + "# late\n31 x\n"
    with pytest.raises(DataError, match="line 34: target 'x' is not an integer"):
        read(tmp_path, text, block_bytes)


@pytest.mark.parametrize("block_bytes", [8, 10_000])
def test_integers_that_become_numbers_later_are_all_numbers(tmp_path, block_bytes):
    text = "".join(f"0 1 {i}\n" for i in range(300)) + "0 1 0.5\n0 1 7\n"
    table, layout = read(tmp_path, text, block_bytes, columns=("source", "target", "time"))
    assert table["time"].to_pylist() == [*map(float, range(300)), 0.5, 7.0]
    assert layout.kinds == ("integer", "integer", "number")


def test_long_lines_are_clipped_in_messages(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, "0 1\n" + "7" * 5000 + " x\n", 10_000)
    assert len(str(caught.value)) < 500


def test_columns_left_out_may_hold_anything(tmp_path):
    table, _ = read(tmp_path, "0 ? 1\n1 nan 2\n", 100, columns=("source", "_", "target"))
    assert table.to_pydict() == {"source": [0, 1], "target": [1, 2]}


def test_plus_signs_are_numbers_but_stay_in_names(tmp_path):
    table, _ = read(tmp_path, "0,1,+1.5\n+1,2,-1e+2\n", 100, columns=("source", "target", "weight"))
    assert table["weight"].to_pylist() == [1.5, -100.0]
    assert table["source"].to_pylist() == [0, 1]
    table, _ = read(tmp_path, "+44,x\n+49,y\n", 100)
    assert table["source"].to_pylist() == ["+44", "+49"]
