"""Values and pure rules that the agent and the aggregator share. Only the package `runtime` does I/O."""

from __future__ import annotations

__version__ = "0.1.0"
