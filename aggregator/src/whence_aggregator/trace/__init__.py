"""Trace: lineages are derived from stored facts. Requests make no outbound calls; the derivation is pure."""

from __future__ import annotations
