"""The type of rows of both databases: a row is read by column name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""sqlite3.Row and asyncpg.Record are not Mappings, but have the methods used here: values by name, and the names."""
Rows = tuple[Sequence[Row], ...]
"""The rows of each query of several."""
