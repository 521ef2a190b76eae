"""Statements: what the agent reports, how it is kept until delivered, and the receipts that come back."""

from __future__ import annotations
