"""Storage: one file of named queries for SQLite and PostgreSQL; migrations go forward only. No rule is decided here."""

from __future__ import annotations
