"""The engine: a network as one native plan."""

from gossamer.deploy.engine.compile import compile as compile  # noqa: A004
from gossamer.deploy.engine.engine import Engine as Engine
from gossamer.deploy.engine.engine import Explained as Explained

__all__ = ["Engine", "Explained", "compile"]
