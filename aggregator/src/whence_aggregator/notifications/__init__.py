"""Notifications about violations: what is sent where, in which order, and what became of it. No I/O of its own.

Steps of violations become deliveries in a transaction, each once for a destination. Whoever holds a destination's lease
sends, so that nothing is sent twice; after a crash a delivery is sent again with the id that it had.
"""

from __future__ import annotations
