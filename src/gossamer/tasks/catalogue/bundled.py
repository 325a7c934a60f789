"""Sets that come with gossamer's dependencies or are generated: always there."""

from __future__ import annotations

from gossamer.tasks.catalogue.entry import DataSet
from gossamer.tasks.readers import bundled


def bundled_sets() -> list[DataSet]:
    """Returns the digits, as images and as a graph, and generated graphs and streams."""
    return [
        DataSet(
            name="digits",
            kind="images",
            summary="handwritten digits, 8x8 grey, from scikit-learn",
            sizes={"images": 1797, "classes": 10, "image_size": 8, "channels": 1},
            read=lambda _: bundled.digits_images(),
            options={"batch_size": 64},
        ),
        DataSet(
            name="digits-graph",
            kind="nodes",
            summary="the digits, each joined to the ten most similar ones",
            sizes={"nodes": 1797, "edges": 24680, "features": 64, "classes": 10},
            read=lambda _: bundled.digits_graph(),
        ),
        DataSet(
            name="csbm",
            kind="nodes",
            summary="a generated graph: contextual stochastic block model",
            sizes={"nodes": 2000, "edges": 20056, "features": 64, "classes": 4},
            read=lambda _: bundled.block_model(),
        ),
        DataSet(
            name="communities",
            kind="nodes",
            summary="generated events, mostly within communities, in time",
            sizes={"nodes": 1000, "edges": 40000, "classes": 10},
            read=lambda _: bundled.communities(),
            task="temporal-node",
        ),
        DataSet(
            name="talk",
            kind="links",
            summary="generated messages, shaped like those of a wiki's talk pages, in time",
            sizes={"nodes": 2000, "edges": 20000},
            read=lambda _: bundled.talk(),
        ),
    ]
