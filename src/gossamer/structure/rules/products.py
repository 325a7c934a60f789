"""Products of matrices and convolutions: what is multiplied and summed is tied in both factors."""

from __future__ import annotations

from gossamer.structure.axes import Axis, factorise, product
from gossamer.structure.rules.table import PLACE, Axes, Call, overlay, rule


@rule("mm", "_sparse_mm", "_int_mm")
def mm(call: Call) -> Axes:
    """(R, K) · (K, C)."""
    one, other = call.axes(call.first("self", "sparse")), call.axes(call.first("mat2", "dense"))
    call.contract(one[1], other[0])
    return one[0], other[1]


@rule("addmm", "_addmm_activation", "_sparse_addmm")
def addmm(call: Call) -> Axes:
    """(R, K) · (K, C) and a summand that is broadcast."""
    one, other = call.axes("mat1"), call.axes("mat2")
    call.contract(one[1], other[0])
    return overlay(call, [(one[0], other[1]), call.axes("self")], call.out.shape)


@rule("_grouped_mm", "_scaled_grouped_mm")
def grouped_mm(call: Call) -> Axes | None:
    """Rows of (R, K), sorted by expert, each with its expert's (K, C) of (E, K, C)."""
    one, other = call.axes("self"), call.axes("mat2")
    if len(one) != 2 or len(other) != 3:
        return None
    call.contract(one[1], other[1])
    other[0].freeze(f"its positions are looked up by number in {call.trace.where}")
    return one[0], other[2]


@rule("bmm")
def bmm(call: Call) -> Axes:
    """(B, R, K) · (B, K, C)."""
    one, other = call.axes("self"), call.axes("mat2")
    call.contract(one[2], other[1])
    return call.tie(one[0], other[0]), one[1], other[2]


@rule("baddbmm", "addbmm")
def baddbmm(call: Call) -> Axes:
    """(B, R, K) · (B, K, C) and a summand that is broadcast."""
    one, other = call.axes("batch1"), call.axes("batch2")
    call.contract(one[2], other[1])
    whole: Axes = (call.tie(one[0], other[0]), one[1], other[2])
    if call.name == "addbmm":
        whole[0].consume()
        whole = whole[1:]
    return overlay(call, [whole, call.axes("self")], call.out.shape)


@rule("mv", "addmv", "dot", "vdot")
def mv(call: Call) -> Axes:
    """A matrix or a vector, and a vector."""
    one, other = call.axes(call.first("mat", "self")), call.axes(call.first("vec", "tensor", "other"))
    call.contract(one[-1], other[0])
    if call.name == "addmv":
        return overlay(call, [one[:-1], call.axes("self")], call.out.shape)
    return one[:-1]


@rule("linear")
def linear(call: Call) -> Axes:
    """(…, K) · (O, K)ᵀ + (O,)."""
    one, weight = call.axes("input"), call.axes("weight")
    call.contract(one[-1], weight[-1])
    if call.get("bias") is not None:
        call.tie(weight[0], call.axes("bias")[0])
    return (*one[:-1], *weight[:-1])


@rule("_trilinear")
def trilinear(call: Call) -> Axes:
    """Σ over `sumdim` of three factors, each with dimensions of size 1 put in at `expand1` to `expand3`."""
    factors = []
    for place in ("1", "2", "3"):
        axes = list(call.axes(f"i{place}"))
        for dim in call[f"expand{place}"]:
            axes.insert(dim, Axis(1))
        factors.append(tuple(axes))
    rank = len(factors[0])
    shape = [max(axes[dim].size for axes in factors) for dim in range(rank)]
    whole = overlay(call, factors, shape)
    summed = call.dims("sumdim", rank)
    for dim in summed:
        whole[dim].consume()
    return tuple(axis for dim, axis in enumerate(whole) if dim not in summed)


@rule("_cdist_forward", "_euclidean_dist", "cdist")
def distances(call: Call) -> Axes:
    """(…, P, M), (…, R, M): distances of rows."""
    one, other = call.axes(call.first("x1", "x")), call.axes(call.first("x2", "y"))
    call.contract(one[-1], other[-1])
    return (*overlay(call, [one[:-2], other[:-2]], call.out.shape[:-2]), one[-2], other[-2])


@rule("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution", "_slow_conv2d_forward")
def convolution(call: Call) -> Axes:
    """(N, G · i, …) with (G · o, i, …), transposed (G · i, o, …), gives (N, G · o, …).

    The groups G are units of their own.
    """
    one, weight = call.axes(call.first("input", "self")), call.axes("weight")
    groups, transposed = call.get("groups", 1), call.get("transposed", False)
    inside, outside = one[1], weight[1] if transposed else weight[0]
    if groups == 1:
        call.contract(inside, weight[0] if transposed else weight[1])
    else:
        group, each = factorise(inside, groups, inside.size // groups)
        if transposed:
            first, summed = factorise(weight[0], groups, weight[0].size // groups)
            call.tie(group, first)
            call.contract(each, summed)
            outside = product(group, weight[1])
        else:
            first, _ = factorise(weight[0], groups, weight[0].size // groups)
            call.tie(group, first)
            call.contract(each, weight[1])
        group.consume()
        call.trace.measure(call.trace.arguments.get("groups", groups), group)
    if call.get("bias") is not None:
        call.tie(outside, call.axes("bias")[0])
    call.trace.freeze((*one[2:], *weight[2:]), PLACE)
    places = tuple(call.fresh(size, PLACE) for size in call.out.shape[2:])
    return (one[0], outside, *places)
