"""Sets of small graphs that are classified."""

from __future__ import annotations

from functools import partial

from gossamer.tasks.catalogue.entry import DataSet, below
from gossamer.tasks.readers import tudataset


def graph_sets() -> list[DataSet]:
    """Returns three sets of the TUDataset collection."""
    rows = [
        ("MUTAG", "molecules that damage DNA or do not", 188),
        ("PROTEINS", "enzymes and other proteins", 1113),
        ("NCI1", "molecules that slow a cancer's growth or do not", 4110),
    ]
    base = "https://www.chrsmrrs.com/graphkerneldatasets"
    return [
        DataSet(
            name=title.lower(),
            kind="graphs",
            summary=summary,
            sizes={"graphs": graphs, "classes": 2},
            read=tudataset.read_tudataset,
            files=tuple(f"tudataset/{title}/raw/{title}_{part}.txt" for part in tudataset.PARTS),
            url=partial(below, f"{base}/{title}.zip#{title}/"),
        )
        for title, summary, graphs in rows
    ]
