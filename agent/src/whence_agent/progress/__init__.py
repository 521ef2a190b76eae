"""What the agent has observed so far: one facet for each room that observes, read by the status and by statements.

stage               how far one boot stage is, and why one failed
boot_progress       the boot: its stages, its tries, what its stages observed; written by `boot`
watched_state       containers, drift, crash loops, the end; written by `watch`
delivered           statements, receipts, who was told; written by `report`
credential_status   the application's credentials; written by `credentials`
progress            the facets together, and one snapshot of what they observed

A facet changes by its own methods only; nobody else assigns to its attributes (tests/unit/test_progress.py).
"""

from __future__ import annotations
