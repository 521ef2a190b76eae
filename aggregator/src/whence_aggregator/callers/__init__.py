"""Callers: who asks, by which token, from which address, and which share of the server that gets."""

from __future__ import annotations
