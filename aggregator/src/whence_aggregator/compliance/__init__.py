"""Compliance: evidence is gathered once, pure rules evaluate it, verdicts are stored. Missing evidence is unknown."""

from __future__ import annotations
