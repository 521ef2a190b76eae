"""Callers: verifies their tokens, determines their addresses, and limits their share of the server."""

from __future__ import annotations
