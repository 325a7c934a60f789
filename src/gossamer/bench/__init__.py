"""Benchmarks of the kernels: each against its best general alternative, in one run."""

from gossamer.bench.case import Case, Patience, Peer
from gossamer.bench.limits import Limits, measure_limits
from gossamer.bench.record import load, record, save
from gossamer.bench.run import FAMILIES, Row, run_family

__all__ = [
    "FAMILIES",
    "Case",
    "Limits",
    "Patience",
    "Peer",
    "Row",
    "load",
    "measure_limits",
    "record",
    "run_family",
    "save",
]
