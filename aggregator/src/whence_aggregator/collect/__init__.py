"""Collectors read outside systems and record facts; waiting tasks are durable. Until there is a fact, a lineage shows
`unknown`, with the reason of the last failure and the time of the next attempt."""

from __future__ import annotations
