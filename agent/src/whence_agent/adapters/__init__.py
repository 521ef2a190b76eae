"""Adapters: each implements one outside protocol and translates its errors. Outside types do not leave this package."""

from __future__ import annotations
