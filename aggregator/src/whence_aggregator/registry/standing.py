"""The state of the binding of a key, and whether its instance may pull. Pure."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.ports import Forbidden, Unauthenticated
from whence_aggregator.trace.life import ENDED, Life
from whence_common.clock import to_millis

LISTING_SECONDS_MAX = 24 * 3600.0
"""The maximum age of a listing: an older one does not show which instances still run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of one binding of a key. Times are milliseconds of the aggregator's clock."""

    instance_id: str
    account_id: str
    region: str
    enrolment: int
    newest: int
    """The number of the instance's newest binding."""
    life: Life
    listed_at: int | None
    """When the newest complete listing of its account and region began; None if no listing showed the instance."""
    bound_at: int

    def check(self, accounts: Container[str]) -> None:
        """Check the conditions that no proof replaces. Raises Forbidden or Unauthenticated."""
        if self.account_id not in accounts:
            raise Forbidden("account-not-allowed", f"account {self.account_id} is not an allowed account")
        if self.life in ENDED:
            raise Forbidden("instance-ended", f"instance {self.instance_id} is {self.life}: it may not pull")
        if self.enrolment != self.newest:
            raise Unauthenticated(
                "enrolment-superseded", f"instance {self.instance_id} has bound a newer key", fix="enrol again"
            )

    def is_known_to_live(self, now: datetime, *, unlisted_seconds_max: float) -> bool:
        """Return whether a recent listing shows the instance, or AWS's proof at its enrolment is recent enough.

        A listing that shows it as stopped counts: it may have been started since, and its key signed just now.
        """
        millis = to_millis(now)
        if self.listed_at is not None and millis - self.listed_at <= LISTING_SECONDS_MAX * 1000:
            return True
        return millis - self.bound_at <= unlisted_seconds_max * 1000
