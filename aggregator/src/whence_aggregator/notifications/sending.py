"""Senders: each turns a parcel into the message of its kind. What they are configured with is read again each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.notifications.messages import (
    mail_content,
    slack_body,
    slack_summary,
    webhook_body,
    webhook_summary,
)
from whence_aggregator.notifications.outcome import DeliveryOutcome, Mailer, Parcel, Poster
from whence_aggregator.notifications.signing import signed_headers
from whence_common.clock import to_instant
from whence_common.errors import InputError

JSON = {"Content-Type": "application/json", "User-Agent": "whence"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSender:
    """Signed webhooks. `url` and `keys` raise InputError where their files cannot be used."""

    poster: Poster
    url: Callable[[], str]
    keys: Callable[[], Sequence[bytes]]
    address: str

    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        one, *others = parcel.notifications
        body = webhook_summary(parcel, address=self.address) if others else webhook_body(one, address=self.address)
        try:
            url, keys = self.url(), self.keys()
        except InputError as exc:
            return _unusable(exc)
        signed = signed_headers(keys, message_id=parcel.id, timestamp=int(now.timestamp()), body=body)
        return await self.poster.post(url, {**JSON, **signed}, body, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackSender:
    """Incoming webhooks as Slack has them, and Mattermost, Rocket.Chat and others."""

    poster: Poster
    url: Callable[[], str]
    address: str

    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        one, *others = parcel.notifications
        body = slack_summary(parcel, address=self.address) if others else slack_body(one, address=self.address)
        try:
            url = self.url()
        except InputError as exc:
            return _unusable(exc)
        return await self.poster.post(url, JSON, body, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSender:
    """Digests of one team by SMTP."""

    mailer: Mailer
    sender: str
    recipients: Sequence[str]
    team: str
    address: str

    async def send(self, parcel: Parcel, now: datetime) -> DeliveryOutcome:
        content = mail_content(
            parcel, sender=self.sender, recipients=self.recipients, team=self.team, address=self.address,
            at=to_instant(now), date=now,
        )  # fmt: skip
        return await self.mailer.mail(content, sender=self.sender, recipients=self.recipients)


def _unusable(exc: InputError) -> DeliveryOutcome:
    return DeliveryOutcome(kind="failed", code=exc.code, reason=exc.message)
