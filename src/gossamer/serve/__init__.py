"""Answers requests over HTTP with a network from a .gsm file, without PyTorch."""

from gossamer.serve.app import application as application
from gossamer.serve.batcher import Batcher as Batcher
from gossamer.serve.batcher import OverloadError as OverloadError
from gossamer.serve.limits import Limits as Limits
from gossamer.serve.server import serve as serve

__all__ = ["Batcher", "Limits", "OverloadError", "application", "serve"]
