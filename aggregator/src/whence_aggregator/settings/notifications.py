"""The setting `notifications`: who is told of violations, how and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from whence_aggregator.notifications.destination import RAISING, STEPS, STEPS_DEFAULT, DestinationKind
from whence_aggregator.notifications.hours import DAYS, Day, Hours, QuietPeriod, always_quiet
from whence_common.errors import one_line
from whence_common.image_reference import is_loopback_registry

DESTINATIONS_MAX = 100
RECIPIENTS_MAX = 50
TEAMS_MAX = 1_000
OTHERS = "*"
"""In `recipients`: the teams that it does not name, and what has no owner."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,49}\Z")
_TIME = re.compile(r"(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)\Z")
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_PER_HOUR = range(1, 100_001)
PER_HOUR_DEFAULT: Mapping[DestinationKind, int] = {"slack": 60, "webhook": 1_000}
_NOTIFY_AFTER_MAX, _GIVE_UP = 7 * 86_400.0, (60.0, 30 * 86_400.0)


class QuietHoursSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hours in which nothing is sent; it is sent afterwards."""

    start: str
    """"22:00", in quotes."""
    end: str
    """"07:00"; an end that is not later than the start is on the next day."""
    days: list[Day] = msgspec.field(default_factory=lambda: list(DAYS))
    """On which weekdays it begins."""


class DestinationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place that is told of violations."""

    name: str
    kind: DestinationKind
    url: str | None = None
    """Of a webhook; `url_file` if it holds a secret, as those of Slack do."""
    url_file: str | None = None
    secret_file: str | None = None
    """Secrets that webhooks are signed with, `whsec_…`, one a line: the new one first."""
    private_addresses: bool = False
    """Its host may have an address that is not public; then http to loopback is accepted too."""
    teams: list[str] = []
    """Empty: all teams, and what has no owner."""
    severities: list[int] = msgspec.field(default_factory=lambda: [1, 2, 3, 4])
    steps: list[str] = msgspec.field(default_factory=lambda: list(STEPS_DEFAULT))
    notify_after_seconds: float = 600.0
    """A violation that ends sooner is never sent."""
    give_up_after_seconds: float = 86_400.0
    """For how long a message is tried; then it is a dead letter."""
    messages_per_hour_max: int | None = None
    """After so many, one message states what is due. None: by kind; mail is a digest anyway."""
    time_zone: str = "UTC"
    quiet_hours: list[QuietHoursSettings] = []
    recipients: dict[str, list[str]] = {}
    """Of mail: addresses by team; `*`: the teams that it does not name, and what has no owner."""
    digest_at: list[str] = msgspec.field(default_factory=lambda: ["08:00"])
    """When mail is sent, in quotes."""
    digest_days: list[Day] = msgspec.field(default_factory=lambda: list(DAYS))


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that takes mail."""

    host: str
    sender: str
    """Address that the mail is from."""
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` for loopback only."""
    login_file: str | None = None
    """File with USER:PASSWORD; read again when it changes."""


class NotificationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of violations."""

    destinations: list[DestinationSettings]
    address: str | None = None
    """URL of this aggregator for links; None: `audience`, if it is a URL."""
    smtp: SmtpSettings | None = None


def hours_of(one: DestinationSettings) -> Hours:
    """Return when a destination is sent to. Its settings must be valid."""
    return Hours(
        zone=ZoneInfo(one.time_zone),
        quiet=tuple(
            QuietPeriod(start=_minute(each.start), end=_minute(each.end), days=_days(each.days))
            for each in one.quiet_hours
        ),
        digests=tuple(map(_minute, one.digest_at)) if one.kind == "mail" else None,
        digest_days=_days(one.digest_days),
    )  # fmt: skip


def wrong_in_notifications(found: NotificationSettings) -> list[str]:
    """Return what is wrong, each with its place."""
    wrong = []
    if not 1 <= len(found.destinations) <= DESTINATIONS_MAX:
        wrong.append(f"notifications.destinations must be from 1 to {DESTINATIONS_MAX}")
    if found.address is not None and not _is_url(found.address, loopback=True):
        wrong.append("notifications.address must be the https URL of this aggregator")
    names = [one.name for one in found.destinations]
    for number, one in enumerate(found.destinations):
        place = f"notifications.destinations[{number}]"
        wrong += [f"{place}.{each}" for each in _wrong_in_destination(one)]
        if names.count(one.name) > 1:
            wrong.append(f"{place}.name: {one_line(one.name, 60)} is the name of another destination too")
    if found.smtp is None and any(one.kind == "mail" for one in found.destinations):
        wrong.append("notifications.smtp is missing: mail needs a server")
    return wrong + (_wrong_in_smtp(found.smtp) if found.smtp is not None else [])


def _wrong_in_destination(one: DestinationSettings) -> Iterator[str]:
    if not _NAME.match(one.name):
        yield "name must be 1 to 50 small letters, digits or hyphens"
    yield from _wrong_in_kind(one)
    if not one.severities or not all(1 <= each <= 4 for each in one.severities):
        yield "severities must be numbers from 1 (critical) to 4 (low)"
    unknown = sorted(set(one.steps) - set(STEPS))
    if unknown:
        yield f"steps: {one_line(', '.join(unknown), 100)} is not a step (they are {', '.join(STEPS)})"
    elif not RAISING & set(one.steps):
        yield f"steps must have one by which a violation is announced: {', '.join(sorted(RAISING))}"
    if not 0 <= one.notify_after_seconds <= _NOTIFY_AFTER_MAX:
        yield f"notify_after_seconds must be from 0 to {_NOTIFY_AFTER_MAX:g}"
    if not _GIVE_UP[0] <= one.give_up_after_seconds <= _GIVE_UP[1]:
        yield f"give_up_after_seconds must be from {_GIVE_UP[0]:g} to {_GIVE_UP[1]:g}"
    if one.messages_per_hour_max is not None and (one.kind == "mail" or one.messages_per_hour_max not in _PER_HOUR):
        yield f"messages_per_hour_max must be from {_PER_HOUR[0]} to {_PER_HOUR[-1]}, and is not for mail"
    if len(one.teams) > TEAMS_MAX or len(one.recipients) > TEAMS_MAX:
        yield f"teams and recipients must have at most {TEAMS_MAX} teams"
    yield from _wrong_times(one)


def _wrong_in_kind(one: DestinationSettings) -> Iterator[str]:
    if one.kind == "mail":
        if one.url is not None or one.url_file is not None or one.secret_file is not None or one.teams:
            yield "kind: mail has recipients by team, and neither url, url_file, secret_file nor teams"
        if not one.recipients:
            yield "recipients is missing: write the addresses of each team"
        for team, addresses in one.recipients.items():
            if not 1 <= len(addresses) <= RECIPIENTS_MAX or not all(map(_MAIL.match, addresses)):
                yield f"recipients.{one_line(team, 60)} must be from 1 to {RECIPIENTS_MAX} mail addresses"
        return
    if one.recipients:
        yield f"recipients are for mail, and not for {one.kind}"
    if one.kind == "slack" and (one.url is not None or one.url_file is None or one.secret_file is not None):
        yield "url_file is what Slack needs: its URL is a secret, and needs no other one"
    if one.kind == "webhook" and (one.url is None) == (one.url_file is None):
        yield "url or url_file must be set, and only one of them"
    if one.kind == "webhook" and one.secret_file is None:
        yield "secret_file is missing: webhooks are signed"
    if one.url is not None and not _is_url(one.url, loopback=one.private_addresses):
        yield "url must be an https URL without a user (http only to loopback, with private_addresses)"


def _wrong_times(one: DestinationSettings) -> Iterator[str]:
    times = [*one.digest_at, *(each for quiet in one.quiet_hours for each in (quiet.start, quiet.end))]
    if not all(map(_TIME.match, times)) or "24:00" in one.digest_at or any(q.start == "24:00" for q in one.quiet_hours):
        yield 'digest_at and quiet_hours need times such as "07:30", in quotes'
        return
    if one.kind == "mail" and not (1 <= len(one.digest_at) <= 24 and one.digest_days):
        yield "digest_at and digest_days must have a time and a day"
    try:
        hours = hours_of(one)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        yield f"time_zone: {one_line(one.time_zone, 60)} is not a time zone such as Europe/Berlin"
        return
    except KeyError:
        yield f"time_zone: {one_line(one.time_zone, 60)} is not known here (tzdata has the zones)"
        return
    if len(one.quiet_hours) > 20 or not all(each.days for each in one.quiet_hours):
        yield "quiet_hours must be at most 20, each with a day"
    elif always_quiet(hours):
        yield "quiet_hours leave no time at which anything could be sent"


def _wrong_in_smtp(smtp: SmtpSettings) -> list[str]:
    wrong = []
    if not _HOST.match(smtp.host) or not 1 <= smtp.port <= 65_535:
        wrong.append("notifications.smtp.host must be the name of a server, and port from 1 to 65535")
    if not _MAIL.match(smtp.sender):
        wrong.append("notifications.smtp.sender must be a mail address")
    if smtp.security == "none" and not is_loopback_registry(smtp.host):
        wrong.append("notifications.smtp.security: none would send mail in clear text; it is for loopback only")
    return wrong


def is_receiver_url(url: str, *, private: bool) -> bool:
    """Return whether notifications may be posted to a URL."""
    return _is_url(url, loopback=private)


def _is_url(url: str, *, loopback: bool) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.fragment or not (url.isascii() and url.isprintable()):
        return False
    plain = parts.scheme == "http" and loopback and is_loopback_registry(parts.netloc)
    return (parts.scheme == "https" or plain) and " " not in url and len(url) <= 2_000


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _days(days: Sequence[Day]) -> frozenset[int]:
    return frozenset(DAYS.index(one) for one in days)
