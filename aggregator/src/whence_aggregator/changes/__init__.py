"""Changes: what differs between two lineages, and when what runs changed. Requests make no outbound calls."""

from __future__ import annotations
