"""Where the cells of a comparison run: in this process, in worker processes here, or on a Ray cluster."""

from gossamer.compression.engines.engine import ENGINES as ENGINES
from gossamer.compression.engines.engine import Engine as Engine
from gossamer.compression.engines.engine import engine as engine

__all__ = ["ENGINES", "Engine", "engine"]
