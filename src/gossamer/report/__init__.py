"""What a run found, as a page, a picture and a table."""

from gossamer import units as units
from gossamer.report.frontier import frontier_svg as frontier_svg
from gossamer.report.page import write as write
from gossamer.report.table import table as table

__all__ = ["frontier_svg", "table", "units", "write"]
