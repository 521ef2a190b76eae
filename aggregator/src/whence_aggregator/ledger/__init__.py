"""The ledger: an append-only log of entries, hashed as RFC 6962 leaves. The write transaction is the sequencer."""

from __future__ import annotations
