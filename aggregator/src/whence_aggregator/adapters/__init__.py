"""Adapters: each speaks one foreign protocol and translates its errors. Foreign types do not leave this package."""

from __future__ import annotations
