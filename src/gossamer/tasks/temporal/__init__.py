"""Tasks on streams of time-stamped edges: walks in time, vectors by skip-gram, and a network on the vectors."""

from gossamer.tasks.temporal.events import Events as Events
from gossamer.tasks.temporal.link import TemporalLink as TemporalLink
from gossamer.tasks.temporal.node import TemporalNode as TemporalNode
from gossamer.tasks.temporal.vectors import WalkVectors as WalkVectors

__all__ = ["Events", "TemporalLink", "TemporalNode", "WalkVectors"]
