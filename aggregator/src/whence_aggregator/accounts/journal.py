"""What an apply has begun: creations, written before their call, so that a cut-off apply knows its own resources."""

from __future__ import annotations

from typing import Protocol


class Journal(Protocol):
    """Kept beside the plan, per plan digest."""

    def begin(self, account_id: str, address: str) -> None:
        """Record durably that a creation follows. Raises RoadError where it cannot be written."""

    def has_begun(self, account_id: str, address: str) -> bool:
        """Return whether this plan began to create the resource."""
