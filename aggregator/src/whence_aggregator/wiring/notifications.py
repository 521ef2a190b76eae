"""Wiring of notifications: destinations with their files, what sends to them, and the calls about them."""

from __future__ import annotations

import random
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from whence_aggregator.adapters.logins import WatchedFile
from whence_aggregator.adapters.smtp_mailer import SmtpMailer
from whence_aggregator.adapters.webhooks import HttpPoster
from whence_aggregator.http.notifications import NotificationCalls
from whence_aggregator.notifications.dead_box import NotificationBox
from whence_aggregator.notifications.delivering import Delivering, DeliveryPatience, Lane
from whence_aggregator.notifications.destination import Destination
from whence_aggregator.notifications.feeding import Feeding
from whence_aggregator.notifications.measures import NotificationMeasures
from whence_aggregator.notifications.outcome import Sender
from whence_aggregator.notifications.sending import MailSender, SlackSender, WebhookSender
from whence_aggregator.notifications.service import Notifying, Tidying
from whence_aggregator.notifications.signing import parse_secrets
from whence_aggregator.notifications.trial import Trial
from whence_aggregator.ports import Database
from whence_aggregator.settings.notifications import (
    OTHERS,
    PER_HOUR_DEFAULT,
    DestinationSettings,
    NotificationSettings,
    SmtpSettings,
    hours_of,
    is_receiver_url,
)
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.outgoing import Outgoing
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.errors import InputError
from whence_common.login_file import parse_login
from whence_common.registry_sign_in import Login

_SECONDS_BETWEEN = {"slack": 1.0}
"""Slack takes one message a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifications:
    """What notifies. Without the setting there is nothing to send, and no destination."""

    box: NotificationBox
    trial: Trial
    measures: NotificationMeasures
    services: Mapping[str, Callable[[], Awaitable[None]]]

    def routes(self) -> list[web.RouteDef]:
        return NotificationCalls(self.box, self.trial).routes()


def load_notifications(settings: Settings, database: Database, outgoing: Outgoing) -> Notifications:
    """Build what notifies. Raises SettingsInvalid or InputError for files that cannot be used."""
    found = settings.notifications
    if found is not None:
        check_files(found)
    lanes = list(_lanes(settings, found, outgoing)) if found is not None else []
    destinations = [one.destination for one in lanes]
    box = NotificationBox(database=database, destinations=destinations, now=utc_now)
    measures = NotificationMeasures(box, names=[one.name for one in destinations], now=utc_now)
    trial = Trial(lanes=lanes, now=utc_now)
    feeding = Feeding(database=database, destinations=destinations, now=utc_now)
    if not lanes:
        services = {"notifications": Tidying(feeding).run}
        return Notifications(box=box, trial=trial, measures=measures, services=services)
    notifying = Notifying(
        feeding=feeding,
        delivering=Delivering(
            database=database, feeding=feeding, lanes=lanes, holder=secrets.token_hex(16), now=utc_now,
            count=measures.count,
            patience=DeliveryPatience(
                delivery=Backoff(first_seconds=10.0, longest_seconds=3_600.0, random=random.random),
                destination=Backoff(first_seconds=1.0, longest_seconds=300.0, random=random.random),
            ),
        ),
    )  # fmt: skip
    return Notifications(box=box, trial=trial, measures=measures, services={"notifications": notifying.run})


def files_of(found: NotificationSettings) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """Yield each file that the settings name: its place, its path, and what reads it. Raises InputError or OSError."""
    for number, one in enumerate(found.destinations):
        place = f"notifications.destinations[{number}]"
        if one.url_file is not None:
            yield f"{place}.url_file", one.url_file, partial(_read_url, WatchedFile(Path(one.url_file)), one)
        if one.secret_file is not None:
            yield f"{place}.secret_file", one.secret_file, partial(_read_keys, WatchedFile(Path(one.secret_file)))
    smtp = found.smtp
    if smtp is not None and smtp.login_file is not None:
        reading = partial(_read_login, WatchedFile(Path(smtp.login_file)), smtp)
        yield "notifications.smtp.login_file", smtp.login_file, reading


def check_files(found: NotificationSettings) -> None:
    """Read each file once. Raises InputError."""
    for place, _, read in files_of(found):
        try:
            read()
        except InputError as exc:
            raise type(exc)(exc.code, f"{place}: {exc.message}", fix=exc.fix) from exc


def _lanes(settings: Settings, found: NotificationSettings, outgoing: Outgoing) -> Iterator[Lane]:
    audience = settings.audience if settings.audience.startswith(("https://", "http://")) else ""
    address = found.address or audience
    for one in found.destinations:
        if one.kind == "mail":
            assert found.smtp is not None, "the settings were checked"
            yield from _mail_lanes(one, found.smtp, address)
            continue
        url = _url(one)
        destination = _destination(one, teams=one.teams, host=urlsplit(url()).hostname or "")
        yield Lane(destination=destination, sender=_posting(one, url, outgoing, address))


def _url(one: DestinationSettings) -> Callable[[], str]:
    stated = one.url
    if stated is not None:
        return lambda: stated
    return partial(_read_url, WatchedFile(Path(one.url_file or "")), one)


def _posting(one: DestinationSettings, url: Callable[[], str], outgoing: Outgoing, address: str) -> Sender:
    poster = HttpPoster(session=outgoing.session, lookup=outgoing.lookup, private_addresses=one.private_addresses)
    if one.kind == "slack":
        return SlackSender(poster=poster, url=url, address=address)
    keys = partial(_read_keys, WatchedFile(Path(one.secret_file or "")))
    return WebhookSender(poster=poster, url=url, keys=keys, address=address)


def _login(smtp: SmtpSettings) -> Callable[[], Login | None]:
    if smtp.login_file is None:
        return lambda: None
    return partial(_read_login, WatchedFile(Path(smtp.login_file)), smtp)


def _mail_lanes(one: DestinationSettings, smtp: SmtpSettings, address: str) -> Iterator[Lane]:
    """Yield a destination for each team, so that no team's mail waits for another's."""
    mailer = SmtpMailer(host=smtp.host, port=smtp.port, security=smtp.security, login=_login(smtp))
    named = frozenset(one.recipients) - {OTHERS}
    for team, recipients in one.recipients.items():
        others = team == OTHERS
        destination = _destination(
            one, name=f"{one.name}/{team}", teams=[] if others else [team], host=smtp.host,
            other_teams=named if others else frozenset(),
        )  # fmt: skip
        sender = MailSender(
            mailer=mailer, sender=smtp.sender, recipients=recipients, team="" if others else team, address=address
        )
        yield Lane(destination=destination, sender=sender)


def _destination(
    one: DestinationSettings, *, teams: Sequence[str], host: str, name: str = "",
    other_teams: frozenset[str] = frozenset(),
) -> Destination:  # fmt: skip
    return Destination(
        name=name or one.name, kind=one.kind, host=host,
        teams=frozenset(teams) or None, other_teams=other_teams, severities=frozenset(one.severities),
        steps=frozenset(one.steps), notify_after_seconds=one.notify_after_seconds,
        give_up_after_seconds=one.give_up_after_seconds, hours=hours_of(one),
        seconds_between=_SECONDS_BETWEEN.get(one.kind, 0.0),
        messages_per_hour_max=one.messages_per_hour_max or PER_HOUR_DEFAULT.get(one.kind),
    )  # fmt: skip


def _read_url(file: WatchedFile, one: DestinationSettings) -> str:
    """Return the URL in a file; it is never shown."""
    url = _content(file).decode("ascii", "replace").strip()
    if not is_receiver_url(url, private=one.private_addresses):
        raise InputError(
            "notification-url", f"{file.path} does not hold one https URL", fix="write the URL and nothing else to it"
        )
    return url


def _read_keys(file: WatchedFile) -> Sequence[bytes]:
    return parse_secrets(_content(file), name=str(file.path))


def _read_login(file: WatchedFile, smtp: SmtpSettings) -> Login:
    return parse_login(_content(file), host=smtp.host, name=str(file.path))


def _content(file: WatchedFile) -> bytes:
    try:
        return file.read()
    except OSError as exc:
        fix = "correct the path, or let the service's user read it"
        raise InputError("notification-file", f"{file.path} cannot be read: {exc.strerror}", fix=fix) from exc
