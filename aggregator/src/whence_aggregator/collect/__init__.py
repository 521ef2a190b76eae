"""Collectors ask outside systems and record what they find; the work that waits is durable. Until there is an answer,
a lineage shows `unknown`, with the reason of the last failure and the time of the next attempt."""

from __future__ import annotations
