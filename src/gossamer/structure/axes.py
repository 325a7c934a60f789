"""Axes of tensors, and which of them are the same: a union-find whose members may be taken apart.

Every dimension of every tensor has an `Axis`. Two dimensions that must keep the same positions are unified. An
axis may turn out to be made of others, and is then refined in place, so everything that is tied to it sees it:

    product (A, B)    position a · |B| + b is there while a is in A and b in B    view, flatten, heads, groups
    concat (A, B, …)  the positions of A, then those of B                         cat, chunk, split, slice

What cannot be taken apart is a leaf. The units of leaves are what pruning removes; every other axis follows. Where
two axes do not fit together (6 × 4 against 4 × 6), `Mismatch` is raised and the caller freezes both: a frozen axis
keeps all of its units, and remembers why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor


class Mismatch(Exception):  # noqa: N818  caught where the axes are known; never shown
    """Two axes cannot be laid over each other."""


class Axis:
    """A dimension of tensors: a leaf, or made of `parts` by `kind`.

    Attributes:
        size: How many positions it has.
        kind: "leaf", "product" or "concat".
        parts: What it is made of, outermost or first first; () of a leaf.
        frozen: Why none of its units may go; "" while they may.
        consumed: Whether something sums over it, so that what a unit holds is used.
    """

    __slots__ = ("_parent", "consumed", "frozen", "kind", "parts", "size")

    def __init__(self, size: int, kind: Literal["leaf", "product", "concat"] = "leaf", parts: Sequence[Axis] = ()):
        self.size = size
        self.kind = kind
        self.parts = tuple(parts)
        self.frozen = ""
        self.consumed = False
        self._parent: Axis | None = None

    def __repr__(self) -> str:
        root = self.root()
        if root.kind == "leaf":
            return f"{root.size}{'!' if root.frozen else ''}"
        return f"({('·' if root.kind == 'product' else '+').join(map(repr, root.parts))})"

    def root(self) -> Axis:
        """Returns the one that stands for all that are unified with this."""
        root = self
        while root._parent is not None:
            root = root._parent
        node = self
        while node._parent is not None:
            node._parent, node = root, node._parent
        return root

    def leaves(self) -> Iterator[Axis]:
        """Yields the leaves that this is made of, in order; one that stands twice comes twice."""
        root = self.root()
        if root.kind == "leaf":
            yield root
        for part in root.parts:
            yield from part.leaves()

    def freeze(self, reason: str) -> None:
        """Keeps all units from now on; the first reason stays."""
        for leaf in self.leaves():
            leaf.frozen = leaf.frozen or reason

    def consume(self) -> None:
        """Notes that something sums over this axis."""
        for leaf in self.leaves():
            leaf.consumed = True

    def keep(self, kept: Mapping[Axis, Tensor]) -> Tensor:
        """Returns which positions stay, (size,) bool, given those of the leaves that lose any."""
        root = self.root()
        if root.kind == "leaf":
            return kept[root] if root in kept else torch.ones(root.size, dtype=torch.bool)
        parts = [part.keep(kept) for part in root.parts]
        if root.kind == "concat":
            return torch.cat(parts)
        whole = parts[0]
        for part in parts[1:]:
            whole = (whole[:, None] & part[None, :]).flatten()
        return whole

    def count(self, kept: Mapping[Axis, int]) -> int:
        """Returns how many positions stay, given how many units stay of the leaves that lose any."""
        root = self.root()
        if root.kind == "leaf":
            return kept.get(root, root.size)
        counts = [part.count(kept) for part in root.parts]
        if root.kind == "concat":
            return sum(counts)
        total = 1
        for count in counts:
            total *= count
        return total

    def units(self, leaf: Axis) -> list[Tensor]:
        """Returns which unit of `leaf` each position belongs to, (size,) int64 with -1 for none; one a place it has.

        A leaf that stands twice, as in an outer product of a vector with itself, gives two.
        """
        root = self.root()
        if root is leaf:
            return [torch.arange(root.size)]
        found = []
        for place, part in enumerate(root.parts):
            for units in part.units(leaf):
                if root.kind == "product":
                    outer = _size(root.parts[:place])
                    inner = _size(root.parts[place + 1 :])
                    found.append(units.repeat_interleave(inner).repeat(outer))
                else:
                    whole = torch.full((root.size,), -1)
                    start = sum(other.size for other in root.parts[:place])
                    whole[start : start + part.size] = units
                    found.append(whole)
        return found


def product(*parts: Axis) -> Axis:
    """Returns the axis of all combinations, the last part running fastest; parts of size 1 are left out."""
    parts = tuple(part for part in parts if part.size != 1)
    if len(parts) < 2:
        return parts[0] if parts else Axis(1)
    return Axis(_size(parts), "product", parts)


def concat(*parts: Axis) -> Axis:
    """Returns the axis of one part after the other."""
    parts = tuple(part for part in parts if part.size)
    if len(parts) < 2:
        return parts[0] if parts else Axis(0)
    return Axis(sum(part.size for part in parts), "concat", parts)


def factors(axis: Axis) -> list[Axis]:
    """Returns the parts of a product, of products in it too; the axis itself if it is none."""
    root = axis.root()
    if root.kind != "product":
        return [root]
    return [factor for part in root.parts for factor in factors(part)]


def pieces(axis: Axis) -> list[Axis]:
    """Returns the parts of a concatenation, of concatenations in it too; the axis itself if it is none."""
    root = axis.root()
    if root.kind != "concat":
        return [root]
    return [piece for part in root.parts for piece in pieces(part)]


def unify(a: Axis, b: Axis) -> None:
    """Ties two axes position by position.

    Raises:
        Mismatch: They are of different sizes, or made of parts that do not fit.
    """
    a, b = a.root(), b.root()
    if a is b:
        return
    if a.size != b.size:
        raise Mismatch(f"{a.size} positions against {b.size}")
    if all(leaf.frozen for axis in (a, b) for leaf in axis.leaves()):
        return  # none of their positions will ever go; differences of neighbours would tie them one by one
    if a.kind == "leaf" or b.kind == "leaf":
        leaf, other = (a, b) if a.kind == "leaf" else (b, a)
        if leaf.frozen:
            other.freeze(leaf.frozen)
        if leaf.consumed:
            other.consume()
        leaf._parent = other
    elif a.kind == b.kind == "product":
        _unify_products(factors(a), factors(b))
    elif a.kind == b.kind == "concat":
        _unify_concats(pieces(a), pieces(b))
    else:
        whole, summed = (a, b) if a.kind == "product" else (b, a)
        outer, *inner = factors(whole)
        try:
            first, rest = factorise(summed, outer.size, _size(inner))
        except Mismatch:
            _unify_concats(pieces(summed), [*_cut(whole, [piece.size for piece in pieces(summed)])])
        else:
            unify(first, outer)
            unify(rest, product(*inner))


def factorise(axis: Axis, outer: int, inner: int) -> tuple[Axis, Axis]:
    """Takes an axis of outer · inner positions apart into a product, and returns its two factors.

    A concatenation becomes one if all its pieces do: their inner parts are then the same.

    Raises:
        Mismatch: Its parts do not allow it.
    """
    root = axis.root()
    if outer == 1:
        return Axis(1), root
    if inner == 1:
        return root, Axis(1)
    if root.kind == "leaf":
        _define(root, "product", Axis(outer), Axis(inner))
        return root.parts[0], root.parts[1]
    if root.kind == "product":
        first, *rest = factors(root)
        if outer % first.size == 0:
            left, right = factorise(product(*rest), outer // first.size, inner)
            return product(first, left), right
        if first.size % outer == 0:
            left, right = factorise(first, outer, first.size // outer)
            return left, product(right, *rest)
        raise Mismatch(f"{outer} by {inner} against {root}")
    parts = pieces(root)
    if any(part.size % inner for part in parts):
        raise Mismatch(f"{outer} by {inner} against {root}")
    pairs = [factorise(part, part.size // inner, inner) for part in parts]
    for _, right in pairs[1:]:
        unify(pairs[0][1], right)
    root.kind = "product"
    root.parts = (concat(*(left for left, _ in pairs)), pairs[0][1])
    return root.parts[0], root.parts[1]


def split(axis: Axis, at: int) -> tuple[Axis, Axis]:
    """Takes an axis apart into its first `at` positions and the others.

    Raises:
        Mismatch: Its parts do not allow it.
    """
    root = axis.root()
    if at == 0:
        return Axis(0), root
    if at == root.size:
        return root, Axis(0)
    if root.kind == "leaf":
        _define(root, "concat", Axis(at), Axis(root.size - at))
        return root.parts[0], root.parts[1]
    if root.kind == "concat":
        before: list[Axis] = []
        parts = pieces(root)
        for place, part in enumerate(parts):
            if at < part.size:
                left, right = split(part, at)
                return concat(*before, left), concat(right, *parts[place + 1 :])
            before.append(part)
            at -= part.size
    outer, *inner = factors(root)
    step = _size(inner)
    if at % step:
        raise Mismatch(f"a cut at {at} of {root}")
    left, right = split(outer, at // step)
    return product(left, *inner), product(right, *inner)


def _unify_products(a: list[Axis], b: list[Axis]) -> None:
    while a and b:
        first, second = a[0], b[0]
        if first.size == second.size:
            unify(first, second)
            a, b = a[1:], b[1:]
        elif first.size % second.size == 0:
            left, right = factorise(first, second.size, first.size // second.size)
            unify(left, second)
            a, b = [right, *a[1:]], b[1:]
        elif second.size % first.size == 0:
            a, b = b, a
        else:
            raise Mismatch(f"{a} against {b}")


def _unify_concats(a: list[Axis], b: list[Axis]) -> None:
    while a and b:
        first, second = a[0], b[0]
        if first.size > second.size:
            a, b, first, second = b, a, second, first
        left, right = split(second, first.size)
        unify(first, left)
        a, b = a[1:], [*([right] if right.size else []), *b[1:]]


def _cut(axis: Axis, sizes: Sequence[int]) -> Iterator[Axis]:
    """Yields the pieces of these sizes."""
    for size in sizes:
        piece, axis = split(axis, size)
        yield piece


def _define(leaf: Axis, kind: Literal["product", "concat"], *parts: Axis) -> None:
    """Makes a leaf something of parts, which inherit what was known of it."""
    frozen, consumed = leaf.frozen, leaf.consumed
    leaf.kind, leaf.parts = kind, parts
    for part in parts:
        part.frozen, part.consumed = frozen, consumed


def _size(axes: Sequence[Axis]) -> int:
    size = 1
    for axis in axes:
        size *= axis.size
    return size
