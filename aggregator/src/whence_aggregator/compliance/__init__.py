"""Compliance: evidence gathered once, pure rules over it, verdicts kept. Missing evidence is unknown, never a pass."""

from __future__ import annotations
