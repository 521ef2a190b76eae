"""The ledger: entries appended in order, hashed as RFC 6962 leaves, never changed. The sequencer is the transaction."""

from __future__ import annotations
