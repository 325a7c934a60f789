"""G2GNet: groups of units that talk to one group of the next layer; what fires together is wired together.

Konstantaropoulos, Smirnakis & Papadopouli, "Neuro-inspired ensemble-to-ensemble communication primitives for sparse and
efficient ANNs", BIBE 2025 (arXiv 2508.14140). Four groups with all weights inside and none between give the paper's
75 % sparsity; all groups meet in the layer of outputs, which stays dense. A share ζ of the smallest weights, from 0.3
to 0 along a half cosine, moves to where activities correlate most (`prune.coactivity`), until 75 % of the training.
Only the abstract of the paper was at hand: statistics, schedule and initial weights are a proposal that fits it. For
the variant with a few links between groups set `within` to 0.9 and `between` to 0.033, with `in_groups=True` to keep
most of the growth inside.

All taps of a kernel move together. A layer with fewer channels than groups, such as one that reads an image, stays
dense; attention's projections are grouped but grown at random, because their activity is not seen. The result's notes
say which layers those are, and its report how modular each layer is.
"""

from __future__ import annotations

from gossamer.compression.registry import register
from gossamer.prune.allocation import Uniform
from gossamer.prune.drop_and_grow import DropAndGrow
from gossamer.prune.ensembles import GroupToGroup
from gossamer.prune.granularity import Kernels
from gossamer.prune.growth import ByHebb

_MODULAR = DropAndGrow(
    sparsity=0.75,
    grow=ByHebb(),
    initial=GroupToGroup(),
    first=0.3,
    last=0.0,
    until=0.75,
    allocation=Uniform(),
    granularity=Kernels(),
    dense_outputs=True,
    begin="redrawn",
)

G2GNET = register(
    "g2gnet",
    _MODULAR,
    summary="Sparse from the start, group to group: drop the smallest weights, grow between units active together.",
    paper="g2gnet",
)

STATIC = register(
    "g2gnet-static",
    _MODULAR.replace(until=0.0),
    summary="Sparse from the start, each group of units wired to one group of the next layer, and none moves.",
    paper="g2gnet",
)
