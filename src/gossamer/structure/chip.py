r"""Scores by independence: a channel whose map the other channels nearly span adds little.

Sui, Yin, Xie, Phan, Zonouz & Yuan, "CHIP: Channel independence-based pruning for compact neural networks", NeurIPS
2021. Of an image, let A (c × places) hold a map a row. The independence of channel i is the drop of A's nuclear norm
when row i is set to zero, averaged over images. Maps are seen where they are used, behind the non-linearity; in a graph
network, places are the nodes of a graph; elsewhere, the rows of a batch. Of a group that is used in several places,
such as a residual stream, it is the mean over them.

The definition asks for one singular value decomposition a channel. Here one is enough, of G = A·Aᵀ with eigenvalues λ
and eigenvectors V. As √x = (1/2π) ∫ t^(−1/2) log(1 + x/t) dt, and as G without row and column i has the determinant
det(G + t)·[(G + t)⁻¹]_ii when t is added to its diagonal, the drop of Σ√λ is, with t = u²,

    CI_i = −(1/π) ∫₀^∞ log Σ_k V_ik² · u² / (λ_k + u²) du

whose integrand is analytic in log u, so that the trapezoid rule has ten digits after 140 points. `normalised` is ours:
with rows of unit length, energy plays no part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gossamer.structure.groups import Group
from gossamer.structure.observer import Observer
from gossamer.structure.scores import GroupScore

_STEP, _RANGE = 0.35, 24.0  # of log u, around the largest singular value
_ELEMENTS = 2**24  # of a tensor on the way, at most


@dataclass(frozen=True, kw_only=True)
class ChannelIndependence(GroupScore):
    """Mean drop of the nuclear norm of a layer's maps without the unit's."""

    name = "chip"
    passes = 1.0
    normalised: bool = False  # whether maps are scaled to unit length first

    def scores(self, groups: Sequence[Group], observer: Observer) -> Mapping[Group, Tensor]:
        """Returns means over images and places; groups that no product meets are left out."""
        total: dict[Group, Tensor] = {}
        images: dict[Group, int] = {}

        def visit(group: Group, maps: Tensor) -> None:
            if self.normalised:
                maps = maps / maps.norm(dim=2, keepdim=True).clamp_min(1e-30)
            found = independence(maps).sum(0)
            total[group] = total[group] + found if group in total else found
            images[group] = images.get(group, 0) + len(maps)

        observer.watch(groups, visit)
        return {group: total[group] / images[group] for group in groups if group in total}


def independence(maps: Tensor) -> Tensor:
    """Returns the drop of each image's nuclear norm when one row is set to zero, (images, rows) float64, at least 0.

    Args:
        maps: (images, rows, places), any dtype.

    >>> independence(torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])).round(decimals=6)
    tensor([[3., 4.]], dtype=torch.float64)
    """
    rows, places = maps.shape[1:]
    points = int(2 * _RANGE / _STEP) + 1
    at_once = max(1, _ELEMENTS // max(rows * max(rows, places, points), 1))
    return torch.cat([_independence(part.double().cpu()) for part in torch.split(maps.detach(), at_once)])


def _independence(a: Tensor) -> Tensor:
    rows, places = a.shape[1:]
    if rows <= places:
        values, vectors = torch.linalg.eigh(a @ a.mT)
        shares = vectors.square()
    else:  # V_ik² = (A·w_k)_i² / λ_k, w_k being the eigenvectors of Aᵀ·A
        values, vectors = torch.linalg.eigh(a.mT @ a)
        values = values.clamp_min(0.0)
        some = values > 1e-14 * values[:, -1:]
        shares = (a @ vectors).square() * torch.where(some, 1.0 / values.where(some, torch.ones(())), 0.0)[:, None]
    largest = values[:, -1:].clamp_min(1e-300).sqrt()
    values = (values.clamp_min(0.0).sqrt() / largest).square()
    u = torch.arange(-_RANGE, _RANGE, _STEP, dtype=torch.float64).exp()
    gone = values[:, :, None] / (values[:, :, None] + u.square())  # 1 − u² / (λ + u²)
    drop: Tensor = -torch.log1p(-(shares @ gone).clamp(max=1.0 - 1e-16)) @ u
    return drop.mul(_STEP / math.pi).mul(largest)
