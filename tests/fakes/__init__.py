"""Fakes for what cannot run here. Each speaks the real protocol; none knows what is tested with it."""

from __future__ import annotations
