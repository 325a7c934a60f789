"""Softmax attention over the neighbours of each node: three forms of scores, their gradients, a reference of each."""

from gossamer.kernels.attention.forms import attend_additive as attend_additive
from gossamer.kernels.attention.forms import attend_dot as attend_dot
from gossamer.kernels.attention.forms import attend_mixed as attend_mixed
from gossamer.kernels.attention.head_dots import head_dots as head_dots
