"""Effective resistances: how much of a link's job the rest of the graph could do.

    R(u, v) = (χ_u − χ_v)ᵀ L⁺ (χ_u − χ_v),   L = D − A

With links as conductors of conductance w, it is the voltage between u and v for a current of 1. w·R is in (0, 1]: 1 for
a bridge, little inside a dense cluster; over all links it sums to nodes less components (Foster's theorem).

Exactly, L⁺ comes from the inverse of L + J, J a projection on each component. For large graphs, as in Spielman &
Srivastava, "Graph sparsification by effective resistances", SIAM J. Comput. 40(6), 2011, section 4, R is a distance,
R(u, v) = ‖W^½ B L⁺ (χ_u − χ_v)‖², and a random projection to k numbers keeps distances (Johnson & Lindenstrauss): k
systems in L are solved, and each R has a relative standard error of about √(2/k). They take k = ⌈24 ln n / ε²⌉ for an
error below ε with high probability.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import cg
from torch import Tensor

from gossamer.errors import DataError, SettingError
from gossamer.graph.links import Links

Array = np.ndarray[Any, Any]

EXACT_NODES = 4096  # up to here the inverse is made: 400 MB and a few seconds at most
_PROJECTIONS = 64
_TOLERANCE = 1e-5  # of a solution's residual, relative


def effective_resistances(links: Links, *, projections: int | None = None, seed: int = 0) -> Tensor:
    """Returns (L,) float64, the effective resistance of each link.

    Args:
        links: Of an undirected graph, with positive weights.
        projections: k, how many systems are solved, at least 1; None takes exact resistances up to 4096 nodes, and 64
            projections beyond.
        seed: Of the projections.

    Raises:
        DataError: The graph is directed, or a weight is not positive.
        SettingError: `projections` is below 1.
    """
    if not links.undirected:
        raise DataError("effective resistances need an undirected graph; call graph.to_undirected() first")
    if len(links) and not bool((links.weight > 0).all()):
        worst = float(links.weight.min())
        raise DataError(f"effective resistances need positive edge weights, found {worst:g}; drop edges without weight")
    if projections is not None and projections < 1:
        raise SettingError(f"projections is {projections}; expected at least 1, or None")
    device, weight = links.source.device, links.weight.double().cpu().numpy()
    low, high = links.source.cpu().numpy(), links.target.cpu().numpy()
    if not len(weight):
        return torch.zeros(0, dtype=torch.float64, device=device)
    if projections is None and links.num_nodes <= EXACT_NODES:
        found = _exact(low, high, weight, links.num_nodes)
    else:
        draw = np.random.default_rng(seed)
        found = _projected(low, high, weight, links.num_nodes, draw=draw, projections=projections or _PROJECTIONS)
    return torch.from_numpy(found).to(device)


def _laplacian(low: Array, high: Array, weight: Array, nodes: int) -> tuple[Any, Any]:
    """Returns L and the adjacency, both (N, N) sparse."""
    half = sparse.coo_array((weight, (low, high)), shape=(nodes, nodes)).tocsr()
    adjacency = (half + half.T).tocsr()
    return csgraph.laplacian(adjacency).tocsr(), adjacency


def _exact(low: Array, high: Array, weight: Array, nodes: int) -> Array:
    laplacian, adjacency = _laplacian(low, high, weight, nodes)
    _, component = csgraph.connected_components(adjacency, directed=False)
    size = np.bincount(component)
    scale = weight.mean()  # so that the projection has about the size of L
    same = component[:, None] == component[None, :]
    full = torch.from_numpy(laplacian.toarray() + scale * same / size[component][:, None])
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(full)).numpy()  # L⁺ + J / scale², and J cancels below
    found: Array = inverse[low, low] + inverse[high, high] - 2.0 * inverse[low, high]
    return found


def _projected(
    low: Array, high: Array, weight: Array, nodes: int, *, draw: np.random.Generator, projections: int
) -> Array:
    laplacian, _ = _laplacian(low, high, weight, nodes)
    diagonal = laplacian.diagonal()
    jacobi = sparse.diags_array(1.0 / np.where(diagonal > 0, diagonal, 1.0))
    found = np.zeros(len(weight))
    for _ in range(projections):
        flow = np.sqrt(weight) * draw.choice((-1.0, 1.0), len(weight))
        current = np.bincount(low, flow, nodes) - np.bincount(high, flow, nodes)
        voltage, unsolved = cg(laplacian, current, rtol=_TOLERANCE, maxiter=20 * nodes, M=jacobi)
        if unsolved:
            raise DataError("effective resistances: a system was not solved; the edge weights differ by too much")
        found += (voltage[low] - voltage[high]) ** 2
    return found / projections
