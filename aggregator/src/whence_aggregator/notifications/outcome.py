"""How a receiver answered, and what that means for a delivery. Pure; with the ports of what sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from whence_aggregator.projections.violation_rows import StoredViolation

OutcomeKind = Literal["accepted", "failed", "refused", "gone"]
_AGAIN = (408, 425, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOutcome:
    """`failed` is tried again, `refused` is a dead letter at once, `gone` switches the destination off."""

    kind: OutcomeKind
    code: str = ""
    reason: str = ""
    retry_after_seconds: float | None = None


ACCEPTED = DeliveryOutcome(kind="accepted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A step that is to be sent."""

    id: str
    ledger_index: int
    step: str
    at: str
    by: str
    comment: str
    after: StoredViolation


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What one message states: a step, or the steps of a digest. `id` stays the same however often it is sent."""

    id: str
    notifications: Sequence[Notification]


class Sender(Protocol):
    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        """Send a message; never raises for what the receiver does."""


class Poster(Protocol):
    async def post(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> DeliveryOutcome:
        """POST a body to a receiver."""


class Mailer(Protocol):
    async def mail(self, content: bytes, *, sender: str, recipients: Sequence[str]) -> DeliveryOutcome:
        """Hand a mail to the server."""


def outcome_of_status(status: int, *, host: str, retry_after_seconds: float | None = None) -> DeliveryOutcome:
    """Return what the status of an answer means."""
    if 200 <= status < 300:
        return ACCEPTED
    reason = f"{host} answers with HTTP {status}"
    if 300 <= status < 400:
        return DeliveryOutcome(kind="failed", code="redirected", reason=f"{reason}, and redirects are not followed")
    if status == 410:
        return DeliveryOutcome(kind="gone", code="gone", reason=f"{reason}: it wants no more messages")
    if 400 <= status < 500 and status not in _AGAIN:
        return DeliveryOutcome(kind="refused", code=f"http-{status}", reason=reason)
    return DeliveryOutcome(
        kind="failed", code=f"http-{status}", reason=reason, retry_after_seconds=retry_after_seconds
    )  # fmt: skip
