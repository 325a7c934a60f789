"""Searches several settings of a method at once for the networks that no other beats."""

from gossamer.compression.exploration.explore import explore as explore

__all__ = ["explore"]
