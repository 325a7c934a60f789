"""Sets that need no file: scikit-learn's handwritten digits, as images and as a graph, and generated ones.

The digits are 1,797 real images of 8x8 pixels with 16 grey levels (E. Alpaydin and C. Kaynak, UCI, 1998).
They come from 43 writers in the order of the file, so they are shuffled before a fifth is set apart for the
test.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from gossamer.graph import EdgeList, Graph, community_events, csbm, knn_graph, talk_events
from gossamer.tasks.readers.images import Images
from gossamer.tasks.seeding import generator

_TEST = 360


def _digits() -> tuple[Tensor, Tensor]:
    """Returns pixels, (1797, 8, 8) in 0..16, and classes, (1797,)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return torch.from_numpy(digits.images).to(torch.uint8), torch.from_numpy(digits.target).long()


def digits_images() -> Images:
    """Returns the digits as images; which 360 are the test split never changes."""
    x, y = _digits()
    order = torch.randperm(len(x), generator=generator(0))
    test, train = order[:_TEST], order[_TEST:]
    x = x.unsqueeze(1)
    return Images(x[train], y[train], x[test], y[test], classes=10)


def digits_graph() -> Graph:
    """Returns the graph that joins each digit to the ten most similar; features are pixels in [0, 1]."""
    x, y = _digits()
    return dataclasses.replace(knn_graph(x.flatten(1).float() / 16.0, 10), y=y)


def block_model() -> Graph:
    """Returns a generated graph in which edges and features both hint at four classes; always the same."""
    return csbm(2000, classes=4, features=64, degree=10.0, structure=1.5, signal=12.0, seed=0)


def communities() -> Graph:
    """Returns generated events among ten communities; always the same."""
    return community_events(1000, 40_000, seed=0)


def talk() -> EdgeList:
    """Returns a generated stream of messages; always the same."""
    return talk_events(2000, 20_000, seed=0)
