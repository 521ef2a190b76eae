"""Projections: what the log's entries mean for the tables that are asked. The same code writes them when an entry is
appended and when they are rebuilt, and it takes nothing but the entries: so they can be dropped, compared and made
again."""

from __future__ import annotations
