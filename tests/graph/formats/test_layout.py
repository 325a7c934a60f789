import pytest

from gossamer.graph.formats.layout import detect


def layout(text, **changes):
    arguments = {"columns": None, "delimiter": None, "header": None, "comment": "#%", "string_ids": None} | changes
    return detect("f", text.encode(), **arguments)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("0,1\n2,3\n", ","),
        ("0;1\n2;3\n", ";"),
        ("0|1\n2|3\n", "|"),
        ("0\t1\n2\t3\n", "\t"),
        ("0  1\n2 3\n", None),
        ("a,b c\nd,e f\n", ","),
        ("New York\tRio\nParis\tLos Angeles\n", "\t"),
        ("New York\tNew Jersey\nLos Angeles\tSan Diego\n", "\t"),
    ],
)
def test_delimiters_are_seen(text, delimiter):
    assert layout(text).delimiter == delimiter


def test_numbers_with_tabs_and_spaces_mixed_are_blanks():
    mixed = layout("1 2\t1 21574\n1 3\t1 21578\n", columns=("source", "target", "weight", "time"))
    assert mixed.delimiter is None
    assert mixed.kinds == ("integer", "integer", "number", "integer")


def test_one_bad_line_does_not_change_the_delimiter():
    assert layout("0,1\n2,3\n4 5\n6,7\n").delimiter == ","


@pytest.mark.parametrize(
    ("text", "skip", "kind"),
    [
        ("0 1\n", 0, "integer"),
        ("# x\n\nsource target\n0 1\n", 3, "integer"),
        ("paper cites\n0 1\n", 1, "integer"),
        ("ann bob\nbob eve\n", 0, "string"),
        ("src dst\nann bob\n", 1, "string"),
        ("%%MatrixMarket matrix\n2 2 1\n0 1\n", 2, "integer"),
    ],
)
def test_headers_are_told_from_names_of_nodes(text, skip, kind):
    found = layout(text)
    assert (found.skip, found.kinds) == (skip, (kind, kind))


def test_the_caller_decides_what_a_header_is():
    assert layout("ann bob\nbob eve\n", header=True).names == ("source", "target")
    assert layout("ann bob\nbob eve\n", header=True).skip == 1
    assert layout("src dst\nann bob\n", header=False).skip == 0


def test_a_name_on_one_side_makes_both_sides_names():
    assert layout("1,film\n2,song\n").kinds == ("string", "string")


def test_widened_leaves_ids_alone():
    wide = layout("0,1,2,3\n", columns=("source", "target", "time", "level")).widened()
    assert wide.kinds == ("integer", "integer", "number", "number")
