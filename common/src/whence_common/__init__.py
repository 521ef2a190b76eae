"""Values and pure rules that the agent and the aggregator share. No I/O is done here."""

from __future__ import annotations

__version__ = "0.1.0"
