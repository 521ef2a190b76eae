"""Reviews and tickets: what code hosts and trackers state about a commit, and what counts. No I/O is done here; each
reader asks its source through a port."""

from __future__ import annotations
