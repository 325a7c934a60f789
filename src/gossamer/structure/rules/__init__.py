"""One table of rules, by family: which dimensions an operator ties together."""

from gossamer.structure.rules import attention as attention
from gossamer.structure.rules import graph as graph
from gossamer.structure.rules import index as index
from gossamer.structure.rules import norms as norms
from gossamer.structure.rules import pointwise as pointwise
from gossamer.structure.rules import products as products
from gossamer.structure.rules import reduce as reduce
from gossamer.structure.rules import shape as shape
from gossamer.structure.rules import spatial as spatial
from gossamer.structure.rules.table import RULES as RULES
from gossamer.structure.rules.table import apply as apply

__all__ = ["RULES", "apply"]
