"""Commands of `whence-aggregator` that are not services. They print, and return an exit code."""

from __future__ import annotations
