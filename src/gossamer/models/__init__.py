"""Architectures assembled from `gossamer.nn`, and the zoo that builds them by name."""

from gossamer.models.zoo import build as build
from gossamer.models.zoo import default_training as default_training
from gossamer.models.zoo import for_task as for_task
from gossamer.models.zoo import names as names

__all__ = ["build", "default_training", "for_task", "names"]
