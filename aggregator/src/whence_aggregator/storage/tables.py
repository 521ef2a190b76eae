"""What both databases return: a row is read by the names of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""sqlite3.Row and asyncpg.Record are no Mapping, and have what is used of one: values by name, and their names."""
Rows = tuple[Sequence[Row], ...]
"""The rows of each query of several."""
