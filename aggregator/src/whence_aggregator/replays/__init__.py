"""Replays of verdicts: from the entries that a verdict names alone, in a database of their own. Nothing is stored."""

from __future__ import annotations
