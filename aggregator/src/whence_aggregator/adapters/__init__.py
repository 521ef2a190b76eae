"""Adapters: each implements one foreign protocol and translates its errors. Foreign types stay in this package."""

from __future__ import annotations
