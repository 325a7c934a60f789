"""The protocol: Method, Compression, compress, compare, Frontier, and methods by name."""

from gossamer.compress.compare import compare as compare
from gossamer.compress.compress import compress as compress
from gossamer.compress.compressed import Compressed as Compressed
from gossamer.compress.frontier import Frontier as Frontier
from gossamer.compress.frontier import Point as Point
from gossamer.compress.method import Compression as Compression
from gossamer.compress.method import Method as Method
from gossamer.compress.registry import method as method
from gossamer.compress.registry import methods as methods
from gossamer.compress.registry import parse_methods as parse_methods
from gossamer.compress.registry import parse_named as parse_named
from gossamer.compress.registry import register as register

__all__ = [
    "Compressed",
    "Compression",
    "Frontier",
    "Method",
    "Point",
    "compare",
    "compress",
    "method",
    "methods",
    "parse_methods",
    "parse_named",
    "register",
]
