"""Graphs whose nodes are classified. Edges are counted in both directions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from gossamer.tasks.catalogue.entry import DataSet, below
from gossamer.tasks.readers import planetoid
from gossamer.tasks.readers.contacts import read_coauthors, read_contacts
from gossamer.tasks.readers.npz import read_heterophilous, read_sparse_npz


def node_sets() -> list[DataSet]:
    """Returns the citation, co-purchase, co-author, social and heterophilous graphs, and those in time."""
    return [*_planetoid(), *_sparse_npz(), *_heterophilous(), *_in_time()]


def _planetoid() -> list[DataSet]:
    def url(file: str) -> str:
        return f"https://github.com/kimiyoung/planetoid/raw/master/data/{Path(file).name}"

    found = [
        DataSet(
            name=title.lower(),
            kind="nodes",
            summary="citations between papers, public split",
            sizes=_nodes(*sizes),
            read=planetoid.read_planetoid,
            files=tuple(f"planetoid/{title}/raw/ind.{title.lower()}.{part}" for part in planetoid.PARTS),
            url=url,
            splits="published",
            advice=advice,
        )
        for title, sizes, advice in (
            ("Cora", (2708, 10556, 1433, 7), ""),
            ("Citeseer", (3327, 9104, 3703, 6), ""),
            (
                "PubMed",
                (19717, 88648, 500, 3),
                "without ind.pubmed.allx the features of most nodes are missing; pubmed-structure needs none",
            ),
        )
    ]
    structure = DataSet(
        name="pubmed-structure",
        kind="nodes",
        summary="citations between papers without their words, public split",
        sizes=_nodes(19717, 88648, 19717, 3),
        read=planetoid.read_planetoid_structure,
        files=tuple(f"planetoid_pubmed_partial/ind.pubmed.{part}" for part in planetoid.STRUCTURE_PARTS),
        url=url,
        splits="published",
    )
    return [*found, structure]


def _sparse_npz() -> list[DataSet]:
    shchur = "https://github.com/shchur/gnn-benchmark/raw/master/data/npz/"
    bojchevski = "https://github.com/abojchevski/graph2gauss/raw/master/data/"
    rows: list[tuple[str, str, str, tuple[int, int, int, int], str | None]] = [
        (
            "amazon-computers",
            "products bought together",
            "amazon/Computers/raw/amazon_electronics_computers.npz",
            (13752, 491722, 767, 10),
            shchur,
        ),
        (
            "coauthor-cs",
            "authors who wrote together",
            "coauthor/CS/raw/ms_academic_cs.npz",
            (18333, 163788, 6805, 15),
            shchur,
        ),
        (
            "coauthor-physics",
            "authors who wrote together",
            "coauthor/Physics/raw/ms_academic_phy.npz",
            (34493, 495924, 8415, 5),
            shchur,
        ),
        (
            "dblp",
            "citations between papers",
            "citation_full/dblp/raw/dblp.npz",
            (17716, 105734, 1639, 4),
            bojchevski,
        ),
        (
            "cora-ml",
            "citations between papers",
            "citation_full/cora_ml/raw/cora_ml.npz",
            (2995, 16316, 2879, 7),
            bojchevski,
        ),
        (
            "blogcatalog",
            "bloggers who follow each other",
            "attributed_graphs/blogcatalog.npz",
            (5196, 343486, 8189, 6),
            None,
        ),
        (
            "flickr",
            "photographers who follow each other",
            "attributed_graphs/flickr.npz",
            (7575, 479476, 12047, 9),
            None,
        ),
        ("acm", "papers that share an author", "attributed_graphs/acm.npz", (3025, 26256, 1870, 3), None),
    ]
    return [
        DataSet(
            name=name,
            kind="nodes",
            summary=summary,
            sizes=_nodes(*sizes),
            read=read_sparse_npz,
            files=(file,),
            url=None if base is None else partial(below, base),
        )
        for name, summary, file, sizes, base in rows
    ]


def _heterophilous() -> list[DataSet]:
    rows: list[tuple[str, str, tuple[int, int, int, int]]] = [
        ("actor", "actors who share a page", (7600, 53318, 932, 5)),
        ("chameleon", "pages that link each other", (2277, 62742, 2325, 5)),
        ("chameleon-filtered", "chameleon without its duplicate nodes", (890, 17708, 2325, 5)),
        ("squirrel", "pages that link each other", (5201, 396706, 2089, 5)),
        ("squirrel-filtered", "squirrel without its duplicate nodes", (2223, 93996, 2089, 5)),
        ("texas", "university web pages", (183, 558, 1703, 5)),
        ("cornell", "university web pages", (183, 554, 1703, 5)),
        ("wisconsin", "university web pages", (251, 900, 1703, 5)),
        ("minesweeper", "a board on which to tell the mines", (10000, 78804, 7, 2)),
        ("tolokers", "workers who shared a task; who was banned", (11758, 1038000, 10, 2)),
    ]
    base = "https://github.com/yandex-research/heterophilous-graphs/raw/main/data/"
    ranked = ("minesweeper", "tolokers")  # unequal classes: the area under the ROC curve is the custom
    found = []
    for name, summary, sizes in rows:
        file = name.replace("-", "_") + ".npz"
        found.append(
            DataSet(
                name=name,
                kind="nodes",
                summary=summary,
                sizes=_nodes(*sizes),
                read=read_heterophilous,
                files=(f"heterophilous/{name}/raw/{file}" if name in ranked else f"heterophilous/{file}",),
                url=partial(below, base),
                splits="published",
                options={"metric": "auroc"} if name in ranked else {},
            )
        )
    return found


def _nodes(nodes: int, edges: int, features: int, classes: int) -> dict[str, int]:
    return {"nodes": nodes, "edges": edges, "features": features, "classes": classes}


def _in_time() -> list[DataSet]:
    rows = [
        ("highschool-2011", "pupils near each other", "highschool_2011.txt.gz", read_contacts, (126, 57122, 4)),
        ("highschool-2012", "pupils near each other", "highschool_2012.txt.gz", read_contacts, (180, 90094, 5)),
        ("coauthors", "authors by year, and their field", "academic_toy.npz", read_coauthors, (2000, 29704, 5)),
    ]
    return [
        DataSet(
            name=name,
            kind="nodes",
            summary=f"{summary}, in time",
            sizes=dict(zip(("nodes", "edges", "classes"), sizes, strict=True)),
            read=read,
            files=(f"dynamic_node/{file}",),
            task="temporal-node",
        )
        for name, summary, file, read, sizes in rows
    ]
