"""The protocol: Method, Compression, compress, compare, Frontier, and methods by name."""

from gossamer.compression.compare import compare as compare
from gossamer.compression.compress import compress as compress
from gossamer.compression.compressed import Compressed as Compressed
from gossamer.compression.exploration import explore as explore
from gossamer.compression.frontier import describe_run as describe_run
from gossamer.compression.method import Compression as Compression
from gossamer.compression.method import Method as Method
from gossamer.compression.registry import method as method
from gossamer.compression.registry import methods as methods
from gossamer.compression.registry import parse_methods as parse_methods
from gossamer.compression.registry import parse_named as parse_named
from gossamer.compression.registry import register as register
from gossamer.frontier.frontier import Frontier as Frontier
from gossamer.frontier.points import Point as Point

__all__ = [
    "Compressed",
    "Compression",
    "Frontier",
    "Method",
    "Point",
    "compare",
    "compress",
    "describe_run",
    "explore",
    "method",
    "methods",
    "parse_methods",
    "parse_named",
    "register",
]
