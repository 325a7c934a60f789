"""Makes the chosen steps work on blocked images, and puts the conversions where layouts meet.

A blocked image has a halo of zeros as wide as the widest padding of the convolutions that read it; the inputs and the
result of an elementwise step share theirs, since it runs over all of their memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor

from gossamer.deploy.engine.graph import Graph, Size, Step, Value, contiguous_strides
from gossamer.deploy.engine.passes.layouts import BLOCK, as_good_as_plain, images_of, is_single

Halo = tuple[int, int]
_FEW = 4  # channels of an image as it comes in: a block of its own size
_TO_BLOCKS, _BACK = 0, 1


def use_blocks(graph: Graph, chosen: Collection[Step], block: int = BLOCK) -> None:
    """Rewrites the chosen steps for blocked images.

    Args:
        graph: Before its products are packed.
        chosen: Of `choose_layouts`.
        block: Channels of a block: 16, or 1 for weights that are scattered one by one.
    """
    if chosen:
        _Blocks(graph, chosen, block).rewrite()


class _Blocks:
    def __init__(self, graph: Graph, chosen: Collection[Step], block: int) -> None:
        self.graph, self.chosen, self.block = graph, chosen, block
        self.halo = _halos(step for step in graph.steps if step in chosen)
        self.few = _of_few_channels(graph, chosen) if block > 1 else set()
        self.twin: dict[Value, Value] = {}  # the blocked images of each value that has some by now
        self.steps: list[Step] = []
        self.plainly = {
            value.root
            for step in graph.steps
            for value in step.inputs
            if value is not None and (step not in chosen or value.root is not value)
        } | set(graph.outputs)  # values that something reads as whole channels

    def rewrite(self) -> None:
        for step in self.graph.steps:
            if step not in self.chosen:
                self.steps.append(step)
                continue
            out = step.outputs[0]
            given = [value if value is None else self.blocked(value) for value in step.inputs]
            twin = self.new(out)
            self.steps.append(self.rewritten(step, given, twin))
            self.twin[out] = twin
            if out in self.plainly:
                self.back(step, out, twin)
        self.graph.steps[:] = self.steps

    def new(self, value: Value) -> Value:
        """Returns blocked images for a value, not yet written."""
        images, channels, *pixels = value.size
        if not pixels:  # a reduction drops them
            pixels = [1, 1]
        wide = [size + 2 * halo for size, halo in zip(pixels, self.halo.get(value, (0, 0)), strict=True)]
        block = _FEW if value in self.few else self.block
        return Value("result", (images, -(-channels // block), *wide, block))

    def blocked(self, value: Value) -> Value:
        """Returns the blocked images of a value, which are converted here if nothing has written them."""
        if is_single(value):
            return value.root
        if value in self.twin:
            return self.twin[value]
        if value.kind == "constant" and value.data is not None:
            twin = in_blocks(value.data, self.block)
        else:
            twin = self.new(value)
            sizes = [_TO_BLOCKS, value.size[1], *self.halo.get(value, (0, 0))]
            self.steps.append(Step("relayout", [value], [twin], sizes=sizes, origin="layout"))
        self.twin[value] = twin
        return twin

    def back(self, step: Step, out: Value, twin: Value) -> None:
        """Makes whole channels of blocked images that were just written."""
        halo = self.halo.get(out, (0, 0))
        image = (*out.size[:2], *(out.size[2:] or (1, 1)))
        if as_good_as_plain(out, self.block) and halo == (0, 0) and out not in self.graph.outputs:
            _become_view(self.graph, out, twin)
            return
        to = out if len(out.size) == 4 else Value("view", image, of=out, stride=contiguous_strides(image))
        self.steps.append(Step("relayout", [twin], [to], sizes=[_BACK, out.size[1], *halo], origin="layout"))

    def rewritten(self, step: Step, given: list[Value | None], twin: Value) -> Step:
        out, changed = step.outputs[0], step.replace(inputs=given, outputs=[twin])
        halos = [*self.halo_of(step.inputs[0]), *self.halo.get(out, (0, 0))]
        channels = out.size[1]
        if step.what == "convolution":
            assert step.inputs[0] is not None
            alone = self.block > 1 and is_depthwise(step, step.inputs[0].size[1])
            changed.what = "blocked_depthwise" if alone else "blocked_convolution"
            changed.sizes = [step.inputs[0].size[1], *step.sizes, *halos, *self.halo_of(step.inputs[1])]
        elif step.what == "pool":
            changed.what, changed.sizes = "blocked_pool", [channels, *step.sizes, *halos]
        elif step.what == "reduce":
            assert step.inputs[0] is not None
            mean = step.sizes[2] == 1
            whole: list[Size] = [*step.inputs[0].size[2:], 1, 1, 0, 0, int(mean), 0]
            changed.what, changed.sizes = "blocked_pool", [channels, *whole, *halos]
        return changed

    def halo_of(self, value: Value | None) -> Halo:
        return (0, 0) if value is None else self.halo.get(value, (0, 0))


def in_blocks(data: Tensor, block: int) -> Value:
    """Returns (1, channels, 1, 1) numbers as blocked images of one pixel."""
    padded = torch.nn.functional.pad(data.flatten(), (0, -data.numel() % block)).view(1, -1, 1, 1, block)
    return Value("constant", tuple(padded.shape), data.dtype, padded)


def is_depthwise(step: Step, channels: int) -> bool:
    """Says whether a convolution has one filter for each channel, in the order of the channels."""
    assert step.weight is not None
    if step.places is None or len(step.weight) != channels or channels < BLOCK:
        return False
    own = torch.eye(channels, dtype=torch.bool).repeat_interleave(step.weight.shape[1] // channels, dim=1)
    return bool((step.places <= own).all())


def _of_few_channels(graph: Graph, chosen: Collection[Step]) -> set[Value]:
    """Returns images of very few channels that blocked convolutions alone read, and nothing blocked has written."""
    written = {value for step in chosen for value in step.outputs}
    found = {value for step in chosen for value in step.inputs[:1] if value is not None and value not in written}
    for step in graph.steps:
        if step in chosen:
            first, *others = step.inputs
            alone = step.what != "convolution" or (first is not None and is_depthwise(step, first.size[1]))
            found -= {first} if alone else set()
            found -= set(others)
    return {
        value for value in found if len(value.size) == 4 and isinstance(value.size[1], int) and value.size[1] <= _FEW
    }


def _halos(steps: Iterable[Step]) -> dict[Value, Halo]:
    """Returns the halo of each image that has one: as wide as any reader needs, the same all over elementwise steps."""
    found: dict[Value, Halo] = {}
    together: list[list[Value]] = []

    def widen(value: Value, halo: Halo) -> bool:
        before = found.get(value, (0, 0))
        found[value] = (max(before[0], halo[0]), max(before[1], halo[1]))
        return found[value] != before

    for step in steps:
        if step.what == "convolution" and step.inputs[0] is not None:
            widen(step.inputs[0], (step.sizes[4], step.sizes[5]))
        elif step.what == "pointwise":
            out = step.outputs[0]
            full = [value for value in images_of(step) if len(value.size) == 4 and value.size[2:] == out.size[2:]]
            together.append([*full, out])
    changed = True
    while changed:
        changed = False
        for some in together:
            most = [max(found.get(value, (0, 0))[axis] for value in some) for axis in range(2)]
            for value in some:
                changed |= widen(value, (most[0], most[1]))
    return found


def _become_view(graph: Graph, value: Value, of: Value) -> None:
    """Makes a result a view of another one that holds the same numbers in the same order."""
    for step in graph.steps:
        for one in (*step.inputs, *step.outputs):
            if one is not None and one.of is value:
                one.of = of
    value.kind, value.of, value.stride = "view", of, contiguous_strides(value.size)
