"""Storage: named queries for SQLite and PostgreSQL; migrations are forward only. This room contains no rules."""

from __future__ import annotations
