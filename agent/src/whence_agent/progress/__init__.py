"""What the agent has observed so far: one facet for each package that observes, read by the status and by statements.

stage               the progress of one boot stage, and why it failed
boot_progress       the boot: its stages, its tries, what its stages observed; written by `boot`
watched_state       containers, drift, crash loops, draining; written by `watch`
delivered           statements, receipts, signals that could not be sent; written by `report`
credential_status   the application's credentials; written by `credentials`
progress            all facets, and one snapshot of what they observed

A facet changes only by its own methods; no other code assigns to its attributes (tests/unit/test_progress.py).
"""

from __future__ import annotations
