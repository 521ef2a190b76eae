"""Statements: what the agent reports, how it is stored until delivered, and the receipts for it."""

from __future__ import annotations
