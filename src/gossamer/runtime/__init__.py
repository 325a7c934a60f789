"""Runs networks from .gsm files on NumPy arrays, without PyTorch."""

from gossamer.runtime.library import include_folder as include_folder
from gossamer.runtime.library import library as library
from gossamer.runtime.network import Network as Network
from gossamer.runtime.network import Port as Port
from gossamer.runtime.network import load as load

__all__ = ["Network", "Port", "include_folder", "library", "load"]
