"""Commands of `whence-aggregator` beside those that serve. They print, and return an exit code."""

from __future__ import annotations
