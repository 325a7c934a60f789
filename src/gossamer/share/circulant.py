"""Linear layers that are one circulant matrix behind a diagonal of random signs.

Cheng, Yu, Feris, Kumar, Choudhary & Chang, "An exploration of parameter redundancy in deep networks with circulant
projections", ICCV 2015: d numbers in place of d², for d the larger of a layer's two sizes. A layer that is not square
takes the corner of such a matrix. Numbers begin as the means of their diagonals, scaled to the size of the weights.
There is no knob, as the shape of a layer says how small it gets.
"""

from __future__ import annotations

from dataclasses import dataclass

from gossamer.compression.registry import register
from gossamer.nn.sharing import Circulant
from gossamer.settings import bounded
from gossamer.share.block_circulant import smaller
from gossamer.share.sharing import Sharing


@dataclass(frozen=True, kw_only=True)
class CirculantProjection(Sharing):
    """Gives linear layers one circulant matrix."""

    name = "circulant"
    flip: bool = True  # whether inputs are multiplied by random signs first
    at: float = bounded(0.0, ge=0.0, le=1.0)  # fraction of the training before weights are tied

    def form(self, shape: tuple[int, ...], seed: int) -> Circulant | None:
        """Returns the matrix; none for convolutions, and for layers with a single output or input."""
        form = Circulant(block=max(shape), flip=self.flip, seed=seed)
        return form if form.suits(shape) and smaller(form, shape) else None


CIRCULANT = register(
    "circulant",
    CirculantProjection(),
    summary="Make each linear layer one circulant matrix behind random signs.",
    paper="cnn-compression-survey",
)
