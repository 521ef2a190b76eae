"""The Pier One front: immutable tags, namespaces owned by teams, no deletion, known sources."""

from __future__ import annotations

__all__: list[str] = []
