"""What a comparison found: points with intervals, Pareto sets, volumes, what to choose and why, tables, networks."""

from gossamer.frontier.advice import Advice as Advice
from gossamer.frontier.axes import AXES as AXES
from gossamer.frontier.axes import Axis as Axis
from gossamer.frontier.efficiency import compression_rate as compression_rate
from gossamer.frontier.efficiency import halvings_per_nonzero as halvings_per_nonzero
from gossamer.frontier.efficiency import per_nonzero as per_nonzero
from gossamer.frontier.efficiency import per_stored_word as per_stored_word
from gossamer.frontier.efficiency import space_saving as space_saving
from gossamer.frontier.efficiency import speed_up as speed_up
from gossamer.frontier.frontier import Frontier as Frontier
from gossamer.frontier.points import Point as Point
from gossamer.frontier.statistics import Estimate as Estimate
from gossamer.frontier.statistics import difference as difference
from gossamer.frontier.tables import Table as Table

__all__ = [
    "AXES",
    "Advice",
    "Axis",
    "Estimate",
    "Frontier",
    "Point",
    "Table",
    "compression_rate",
    "difference",
    "halvings_per_nonzero",
    "per_nonzero",
    "per_stored_word",
    "space_saving",
    "speed_up",
]
