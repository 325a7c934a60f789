"""How edge lists lie in files: compression, columns, text layouts, Parquet."""

from gossamer.graph.formats.columns import ROLES as ROLES
from gossamer.graph.formats.columns import Columns as Columns
from gossamer.graph.formats.parquet import is_parquet as is_parquet
from gossamer.graph.formats.parquet import read_parquet as read_parquet
from gossamer.graph.formats.text import read_text as read_text

__all__ = ["ROLES", "Columns", "is_parquet", "read_parquet", "read_text"]
