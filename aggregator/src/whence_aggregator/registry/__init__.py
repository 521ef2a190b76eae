"""The Pier One front: tags written once, teams that own namespaces, nothing deleted, sources known."""

from __future__ import annotations

__all__: list[str] = []
