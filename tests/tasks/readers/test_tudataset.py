import pytest

from gossamer.errors import DataError
from gossamer.tasks.readers.tudataset import PARTS, read_tudataset

# Graph 1 is the path 1-2-3, graph 2 the single node 4, graph 3 the edge 5-6.
TEXT = {
    "A": "1, 2\n2, 1\n3,2\n2,3\n6 5\n5 6\n",
    "graph_indicator": "1\n1\n1\n2\n3\n3\n",
    "graph_labels": "-1\n1\n1\n",
    "node_labels": "7\n3\n3\n7\n9\n3\n",
}


def write(folder, **changes):
    for part, text in (TEXT | changes).items():
        (folder / part).write_text(text)
    return [folder / part for part in PARTS]


def test_graphs_are_cut_apart_and_labels_become_columns(tmp_path):
    graphs = read_tudataset(write(tmp_path))
    assert [graph.num_nodes for graph in graphs] == [3, 1, 2]
    found = [{tuple(edge) for edge in graph.to_edge_index().T.tolist()} for graph in graphs]
    assert found == [{(0, 1), (1, 0), (1, 2), (2, 1)}, set(), {(0, 1), (1, 0)}]
    assert [int(graph.y) for graph in graphs] == [0, 1, 1]
    assert [graph.x.argmax(dim=1).tolist() for graph in graphs] == [[1, 0, 0], [1], [2, 0]]  # 3, 7, 9
    assert all(graph.x.sum(dim=1).tolist() == [1.0] * graph.num_nodes for graph in graphs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": "1, 7\n"}, r"two node numbers in 1\.\.6"),
        ({"A": "0, 1\n"}, r"two node numbers in 1\.\.6"),
        ({"A": "1\n2\n"}, "two node numbers"),
        ({"A": "3, 4\n"}, "an edge between two graphs"),
        ({"A": "1, x\n"}, "the same number of integers on every line"),
        ({"A": "1, 2\n3\n"}, "the same number of integers on every line"),
        ({"A": ""}, "the same number of integers"),
        ({"node_labels": "1\n2\n"}, "for each of 2 nodes"),
        ({"graph_indicator": "1\n1\n2\n1\n3\n3\n"}, "a rising graph number"),
        ({"graph_labels": "1\n1\n"}, r"in 1\.\.2"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_tudataset(write(tmp_path, **changes))
