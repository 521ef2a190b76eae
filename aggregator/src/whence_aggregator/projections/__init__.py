"""Projections: the tables that queries read, derived from the log's entries. The same code writes them when an entry is
appended and when they are rebuilt, with only the entries as input: so they can be dropped, compared and rebuilt."""

from __future__ import annotations
