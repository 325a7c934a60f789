"""Graphs whose links are predicted: static ones, and lists of events in time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from gossamer.graph import EdgeList, read_edges
from gossamer.tasks.catalogue.entry import DataSet, below
from gossamer.tasks.readers.links import read_mat


def link_sets() -> list[DataSet]:
    """Returns the small graphs of the link prediction literature and the temporal ones."""
    return [*_links(), *_temporal()]


def _links() -> list[DataSet]:
    rows = [
        ("usair", "USAir", "Python", "airports joined by flights", 332, 4252),
        ("ns", "NS", "MATLAB", "network scientists who wrote together", 1589, 5484),
        ("pb", "PB", "MATLAB", "political blogs", 1222, 33428),
        ("yeast", "Yeast", "MATLAB", "proteins that interact", 2375, 23386),
        ("celegans", "Celegans", "Python", "neurons of a worm", 297, 4296),
        ("power", "Power", "Python", "power grid of the western US", 4941, 13188),
        ("router", "Router", "Python", "internet routers", 5022, 12516),
        ("ecoli", "Ecoli", "Python", "metabolites that react", 1805, 29320),
    ]
    base = "https://github.com/muhanzhang/SEAL/raw/master"
    return [
        DataSet(
            name=name,
            kind="links",
            summary=summary,
            sizes={"nodes": nodes, "edges": edges},
            read=read_mat,
            files=(f"linkpred_small/{file}.mat",),
            url=partial(below, f"{base}/{folder}/data/"),
        )
        for name, file, folder, summary, nodes, edges in rows
    ]


def _temporal() -> list[DataSet]:
    plain, weighted = ("source", "target", "time"), ("source", "target", "weight", "time")
    snap = "https://snap.stanford.edu/data/"
    rows: list[tuple[str, str, str, tuple[str, ...], int, int, str | None]] = [
        ("email-eu", "email-Eu-core-temporal.txt.gz", "e-mail of an institution", plain, 986, 332334, snap),
        ("collegemsg", "CollegeMsg.txt.gz", "messages between students", plain, 1899, 59835, snap),
        (
            "sfhh",
            "copresence_SFHH.txt.xz",
            "people near each other at a conference",
            plain,
            403,
            1417485,
            None,
        ),
        (
            "infectious",
            "infectious_contacts.txt.gz",
            "people near each other in a museum",
            ("time", "source", "target"),
            10972,
            415912,
            None,
        ),
        ("bitcoin-otc", "soc-sign-bitcoinotc.csv.gz", "who trusts whom", weighted, 5881, 35592, snap),
        ("bitcoin-alpha", "soc-sign-bitcoinalpha.csv.gz", "who trusts whom", weighted, 3783, 24186, snap),
        ("radoslaw-email", "ia-radoslaw-email.txt.gz", "e-mail of a company", weighted, 167, 82927, None),
        ("digg-reply", "munmun_digg_reply.txt.gz", "replies to comments", weighted, 30398, 87627, None),
        ("chess", "chess.txt.gz", "games of chess", weighted, 7301, 65053, None),
        ("enron", "ia-enron-employees.edges.gz", "e-mail of a company", weighted, 151, 50572, None),
        ("fb-forum", "fb-forum.edges.gz", "messages in a forum", plain, 899, 33720, None),
        ("contact", "ia-contact.edges.gz", "people near each other", weighted, 274, 28244, None),
        (
            "hypertext",
            "ia-contacts_hypertext2009.edges.gz",
            "people near each other at a conference",
            plain,
            113,
            20818,
            None,
        ),
    ]
    return [
        DataSet(
            name=name,
            kind="links",
            summary=f"{summary}, in time",
            sizes={"nodes": nodes, "edges": events},
            read=partial(_read_events, columns),
            files=(f"temporal/{file}",),
            url=None if base is None else partial(below, base),
        )
        for name, file, summary, columns, nodes, events, base in rows
    ]


def _read_events(columns: tuple[str, ...], paths: Sequence[Path]) -> EdgeList:
    return read_edges(paths[0], columns=columns)
