import bz2
import gzip
import lzma
import os
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gossamer.errors import DataError, FileError, GossamerError
from gossamer.graph import read_edges, read_graph

COMPRESS = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, 1),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
FOUR = ("source", "target", "weight", "time")
TEMPORAL = {
    "CollegeMsg.txt.gz": (("source", "target", "time"), 59_835, 1_899),
    "chess.txt.gz": (None, 65_053, 7_301),
    "copresence_SFHH.txt.xz": (("source", "target", "time"), 1_417_485, 403),
    "email-Eu-core-temporal.txt.gz": (("source", "target", "time"), 332_334, 986),
    "fb-forum.edges.gz": (("source", "target", "time"), 33_720, 899),
    "ia-contact.edges.gz": (FOUR, 28_244, 274),
    "ia-contacts_hypertext2009.edges.gz": (("source", "target", "time"), 20_818, 113),
    "ia-enron-employees.edges.gz": (FOUR, 50_572, 151),
    "ia-radoslaw-email.txt.gz": (None, 82_927, 167),
    "infectious_contacts.txt.gz": (("time", "source", "target"), 415_912, 10_972),
    "munmun_digg_reply.txt.gz": (None, 87_627, 30_398),
    "soc-sign-bitcoinalpha.csv.gz": (FOUR, 24_186, 3_783),
    "soc-sign-bitcoinotc.csv.gz": (FOUR, 35_592, 5_881),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("edges")


def write(folder, text, name="edges.txt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def files(draw):
    """Returns the text of an edge list in some layout, how to call the reader, and what it should find."""
    delimiter = draw(st.sampled_from([",", ";", "|", "\t", " "]))
    joiner = delimiter if delimiter != " " else draw(st.sampled_from([" ", "   ", " \t", "\t  "]))
    if delimiter in ",;" and draw(st.booleans()):
        joiner = delimiter + " "
    names = draw(st.booleans())
    node = st.text("abcXYZé9_", min_size=1, max_size=4).map("n".__add__) if names else st.integers(0, 2**62)
    stamp = draw(st.sampled_from([st.integers(-5, 10**12), FINITE]))
    rows = draw(st.lists(st.tuples(node, node, FINITE, stamp), min_size=1, max_size=12))
    header = draw(st.booleans())
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    lines = [joiner.join(FOUR)] if header else []
    for row in rows:
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from(["# a remark", "%", "", "# 1 2 3 4", "  "])))
        lines.append(joiner.join(str(value) for value in row))
    text = newline.join(lines) + draw(st.sampled_from(["", newline, newline * 2]))
    arguments = {} if header else {"columns": FOUR}
    return text, arguments, rows


@given(files(), st.sampled_from(sorted(COMPRESS)))
def test_whatever_the_layout_the_edges_come_back(folder, file, suffix):
    text, arguments, rows = file
    path = write(folder, COMPRESS[suffix](text.encode()), f"random{suffix}")
    edges = read_edges(path, **arguments)
    ids = edges.ids.tolist()
    found = [(ids[u], ids[v]) for u, v in zip(edges.source, edges.target, strict=True)]
    assert found == [row[:2] for row in rows]
    assert edges.weight.tolist() == [row[2] for row in rows]
    assert edges.time.tolist() == [row[3] for row in rows]


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
def test_a_wrong_name_does_not_hide_the_compression(tmp_path, suffix):
    path = write(tmp_path, COMPRESS[suffix](b"0 1\n1 2\n"), "edges.dat")
    assert read_edges(path).edge_index().tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# Directed graph\n# Nodes: 3 Edges: 2\n# FromNodeId\tToNodeId\n4\t7\n7\t9\n", {}),
        ("# FromNodeId ToNodeId Sign\n4 7 1\n7 9 -1\n", {"weight": [1.0, -1.0]}),
        ("% sym unweighted\n% 2 3 3\n4 7\n7 9\n", {"undirected": True}),
        ("% asym multisigned\n4 7 -1 1000\n7 9 +1 1000.5\n", {"weight": [-1.0, 1.0], "time": [1000.0, 1000.5]}),
        ("%%MatrixMarket matrix coordinate pattern symmetric\n9 9 2\n4 7\n7 9\n", {"undirected": True}),
        ("%%MatrixMarket matrix coordinate real general\n%\n9 9 2\n4 7 0.5\n7 9 2\n", {"weight": [0.5, 2.0]}),
        ("Source,Target,Timestamp\n4,7,3\n7,9,4\n", {"time": [3, 4]}),
        ('"src";"dst";"rating"\n"4";"7";"-2"\n"7";"9";"10"\n', {"weight": [-2.0, 10.0]}),
        ("paper cites\n4 7\n7 9\n", {}),
        ("\ufeff4,7\n7,9\n", {}),
        ("4,7\r7,9\r", {}),
    ],
)
def test_headers_of_known_collections(tmp_path, text, found):
    edges = read_edges(write(tmp_path, text))
    assert edges.ids.tolist() == [4, 7, 9]
    assert edges.edge_index().tolist() == [[0, 1], [1, 2]]
    assert edges.undirected is found.get("undirected", False)
    for name in ("weight", "time"):
        values = getattr(edges, name)
        assert (None if values is None else values.tolist()) == found.get(name)


def test_bipartite_konect_keeps_the_two_ends_apart(tmp_path):
    edges = read_edges(write(tmp_path, "% bip unweighted\n1 1\n2 1\n"))
    assert edges.left == 2
    assert edges.edge_index().tolist() == [[0, 1], [2, 2]]
    assert edges.ids.tolist() == [1, 2, 1]


def test_columns_by_place_by_name_and_left_out(tmp_path):
    path = write(tmp_path, "who,whom,how,when,note\n1,2,0.5,10,x\n2,3,1.5,20,y\n")
    edges = read_edges(path, columns={"source": "who", "target": 1, "time": "when"})
    assert edges.time.tolist() == [10, 20]
    assert edges.weight is None
    edges = read_edges(path, columns=("_", "_", "weight", "source", "target"), header=True, string_ids=True)
    assert edges.ids.tolist() == ["10", "20", "x", "y"]
    edges = read_edges(path, columns=("source", "target", "_", "_", "note"))
    assert edges.columns["note"].tolist() == ["x", "y"]


def test_ids_as_strings_take_any_number(tmp_path):
    path = write(tmp_path, "-1 99999999999999999999\n007 -1\n")
    edges = read_edges(path, string_ids=True)
    assert edges.ids.tolist() == ["-1", "007", "99999999999999999999"]


def test_names_may_hold_spaces_and_comment_characters_between_tabs(tmp_path):
    path = write(tmp_path, "New York\tC# club\nC# club\tRio\n")
    assert read_edges(path).ids.tolist() == ["C# club", "New York", "Rio"]
    path = write(tmp_path, "#a #b\n#b #c\n")
    assert read_edges(path, comment="").ids.tolist() == ["#a", "#b", "#c"]


def test_read_graph_joins_it_all(tmp_path):
    path = write(tmp_path, "source,target,weight,time\n10,20,2,5\n20,30,3,6\n")
    graph = read_graph(path)
    assert graph.adjacency.to_dense().tolist() == [[0, 0, 0], [2, 0, 0], [0, 3, 0]]
    assert graph.ids.tolist() == [10, 20, 30]
    assert graph.edge_data["time"].tolist() == [5, 6]
    assert read_graph(path, directed=False).is_undirected()


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", {}, "is empty"),
        ("\n \n", {}, "is empty"),
        ("# one\n% two\n", {}, "only comments"),
        ("source,target\n", {}, "a header and nothing else"),
        ("%%MatrixMarket matrix\n3 3 0\n", {}, "header without entries"),
        ("0\n1\n", {}, "one column"),
        ("0 1 2\n", {}, "3 columns without names"),
        ("0 1\n", {"columns": ("source", "target", "time")}, "names 3 columns, but the file has 2"),
        ("0 1 2\n", {"columns": ("source", "weight", "time")}, "no column is the target"),
        ("a,b\n0,1\n", {"columns": {"source": "a", "target": "c"}}, "unknown column 'c'"),
        ("0,1\n", {"columns": {"source": "a", "target": 1}}, "has no header"),
        ("0,1\n", {"columns": {"source": 0, "target": 2}}, "column 2 asked for as 'target'; expected 0 to 1"),
        ("0,1\n", {"columns": {"source": 0, "target": 0}}, "'source' and as 'target'"),
        ("source,target,src\n0,1,2\n", {}, "two columns are called 'source'"),
        ("0 1\n# x\n1 2 3\n", {}, r"line 3: 3 columns, in '1 2 3'; expected 2 columns separated by blanks"),
        ("0,1\n1,2\n3\n", {}, r"line 3: 1 columns, in '3'"),
        ("0 1\n1 -2\n", {}, r"line 2: target '-2' is negative"),
        ("0 1\n1 2\n1 x\n", {}, r"line 3: target 'x' is not an integer"),
        ("a b\n", {"string_ids": False}, r"line 1: source 'a' is not an integer"),
        ("0 1\n1 9223372036854775808\n", {}, r"line 2: target '9223372036854775808' does not fit 64 bits"),
        ("a,b\n,c\n", {"header": False}, r"line 2: source '' is empty"),
        ("src dst w\n0 1 2\n1 2 many\n", {}, r"line 3: weight 'many' is not a finite number"),
        ("src dst w\n0 1 2\n1 2 nan\n", {}, r"line 3: weight 'nan' is not a finite number"),
        ("src dst w\n0 1 2\n1 2 1e999\n", {}, r"line 3: weight '1e999' is not finite"),
        ("src,dst,w\n0,1,2\n1,2,\n", {}, r"line 3: weight '' is not a finite number"),
        ("src dst t\n0 1 2\n1 2 noon\n", {}, r"line 3: time 'noon' is not a finite number"),
        (b"0 1\n\xff\xfe 2\n", {}, "line 2: is not UTF-8 text"),
        (b"\x7fELF\x00\x00\x01\n", {}, "is not a text file"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path, text, arguments, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_edges(path, **arguments)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@given(st.text("0189 ,;\t\n\r#%ab-+.e\"'é\x00", max_size=40) | st.binary(max_size=40))
def test_no_content_brings_anything_but_edges_or_a_clear_error(folder, text):
    path = write(folder, text, "noise")
    try:
        count, message = len(read_edges(path)), ""
    except GossamerError as error:
        count, message = 0, str(error)
    assert count > 0 or message.startswith(f"{path}: ")
    assert "could not be read" not in message  # the fast and the precise reading agree


@pytest.mark.parametrize("suffix", sorted(set(COMPRESS) - {""}))
def test_truncated_files_are_refused(tmp_path, suffix):
    text = "".join(f"{a} {a * 7919 % 10007}\n" for a in range(5000)).encode()
    whole = COMPRESS[suffix](text)
    path = write(tmp_path, whole[: len(whole) // 2], "edges" + suffix)
    with pytest.raises(FileError, match="truncated or damaged"):
        read_edges(path)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"nowhere\.csv: could not be read \(No such file"):
        read_edges(tmp_path / "nowhere.csv")
    with pytest.raises(FileError, match="could not be read"):
        read_edges(tmp_path)


@pytest.mark.skipif("GOSSAMER_DATA" not in os.environ, reason="GOSSAMER_DATA is not set")
@pytest.mark.parametrize("name", sorted(TEMPORAL))
def test_public_temporal_graphs(name):
    columns, count, nodes = TEMPORAL[name]
    path = Path(os.environ["GOSSAMER_DATA"]) / "temporal" / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    edges = read_edges(path, columns=columns)
    assert (len(edges), edges.num_nodes) == (count, nodes)
    assert bool(np.all(edges.time >= 0))
    assert (edges.weight is not None) == (columns in (None, FOUR))
