"""Trace: facts from storage become lineages. No outbound call is made while answering; states are derived purely."""

from __future__ import annotations
