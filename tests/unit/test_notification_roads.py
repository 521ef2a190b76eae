"""Messages on the wire: signed webhooks, Slack's JSON and mail by SMTP, as receivers of others verify and read them."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from standardwebhooks import Webhook, WebhookVerificationError

from fakes.loopback import loopback
from landscape.certificates import dated_certificate
from whence_aggregator.adapters.smtp_mailer import SmtpMailer, SmtpSecurity
from whence_aggregator.adapters.webhooks import HttpPoster
from whence_aggregator.notifications.outcome import ACCEPTED, DeliveryOutcome, Notification, Parcel
from whence_aggregator.notifications.sending import MailSender, SlackSender, WebhookSender
from whence_aggregator.notifications.signing import SecretInvalid, parse_secrets
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_common.errors import InputError
from whence_common.registry_sign_in import Login

NEW, OLD = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))
ADDRESS = "https://whence.example.org"
HOSTILE = "<!channel> & <https://evil.example.org|click>\r\nBcc: eve@example.org"


def notification(step: str = "opened", index: int = 7, **changes: Any) -> Notification:
    detail = msgspec.json.encode({"title": "The image is not signed", "remedy": "sign it"}).decode()
    after = StoredViolation(
        **{
            "id": "v-7c52a6e2bfde6aa827c1", "rule": "image-unsigned", "kind": "version", "subject": "greeter@1.0",
            "application_id": "greeter", "account_id": "123456789012", "team": "hello", "severity": 3,
            "first_seen": "2026-11-22T12:00:00.000Z", "since": "2026-11-22T12:00:00.000Z",
            "last_seen": "2026-11-22T12:00:00.000Z", "reason": "no signature", "detail": detail, **changes,
        }
    )  # fmt: skip
    return Notification(
        id=f"msg_{index:032x}", ledger_index=index, step=step, at="2026-11-22T12:10:00.000Z", by="", comment="",
        after=after,
    )  # fmt: skip


def parcel(*found: Notification) -> Parcel:
    return Parcel(id="msg_1", notifications=found or (notification(),))


@dataclass
class Hook:
    """A receiver of webhooks."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers=self.headers)


@asynccontextmanager
async def hook() -> AsyncIterator[tuple[Hook, HttpPoster]]:
    found, application = Hook(), web.Application()
    application.add_routes([web.post("/services/T0/SECRET", found.take)])
    async with loopback(application) as address, aiohttp.ClientSession() as session:
        found.url = f"http://{address}/services/T0/SECRET"
        yield found, HttpPoster(session=session, lookup=public, private_addresses=True)


async def public(host: str) -> list[str]:
    return ["127.0.0.1"]


def signed(found: Hook, poster: HttpPoster, *keys: str) -> WebhookSender:
    return WebhookSender(
        poster=poster, url=lambda: found.url, address=ADDRESS,
        keys=lambda: parse_secrets("\n".join(keys).encode(), name="secrets"),
    )  # fmt: skip


async def test_a_webhook_is_verified_by_the_library_of_standard_webhooks_with_the_new_and_the_old_secret() -> None:
    async with hook() as (found, poster):
        assert await signed(found, poster, NEW, OLD).send(parcel(), datetime.now(UTC)) == ACCEPTED
    headers, body = found.got[0]
    assert headers["webhook-id"] == "msg_1"
    for secret in (NEW, OLD):
        document = Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    assert document["type"] == "violation.opened"
    assert document["timestamp"] == "2026-11-22T12:10:00.000Z"
    assert document["data"]["step"] == {
        "step": "opened", "at": "2026-11-22T12:10:00.000Z", "by": None, "comment": None, "ledger_index": 7,
    }  # fmt: skip
    violation = document["data"]["violation"]
    assert (violation["id"], violation["state"], violation["team"]) == ("v-7c52a6e2bfde6aa827c1", "open", "hello")
    assert document["data"]["link"] == "https://whence.example.org/v1/violations/v-7c52a6e2bfde6aa827c1"
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body + b" ", {name.lower(): value for name, value in headers.items()})


def many(number: int) -> Parcel:
    return parcel(
        *(
            notification("fixed" if one % 3 == 2 else "opened", one, id=f"v-{one:020x}", subject=HOSTILE * 9, severity=2 + one % 2)
            for one in range(number)
        )
    )  # fmt: skip


async def test_a_summary_by_webhook_counts_all_and_lists_the_worst_within_twenty_kilobytes() -> None:
    async with hook() as (found, poster):
        assert await signed(found, poster, NEW).send(many(200), datetime.now(UTC)) == ACCEPTED
    body = found.got[0][1]
    document = msgspec.json.decode(body)
    data = document["data"]
    assert (document["type"], document["timestamp"]) == ("violations.summary", "2026-11-22T12:10:00.000Z")
    assert (data["steps"], data["violations"], len(data["listed"]), data["more"]) == (200, 200, 50, 150)
    assert data["link"] == "https://whence.example.org/v1/violations?grouped=true"
    assert {one["severity"] for one in data["listed"]} == {2}
    assert data["listed"][0] == {
        "id": "v-00000000000000000000", "rule": "image-unsigned", "subject": (HOSTILE * 9)[:100], "severity": 2,
        "step": "opened", "ledger_index": 0,
    }  # fmt: skip
    assert len(body) < 20_000


async def test_a_summary_for_slack_counts_all_and_names_where_they_are_listed() -> None:
    async with hook() as (found, poster):
        await SlackSender(poster=poster, url=lambda: found.url, address=ADDRESS).send(many(30), datetime.now(UTC))
        await SlackSender(poster=poster, url=lambda: found.url, address="").send(many(2), datetime.now(UTC))
    text, short = (msgspec.json.decode(body)["text"] for _, body in found.got)
    lines = text.splitlines()
    assert lines[:2] == [
        "*30 violations moved, stated here at once*: 20 open, 10 fixed",
        "More messages than this channel takes in an hour; see "
        "<https://whence.example.org/v1/violations?grouped=true|all violations>, or `whence violations --grouped`",
    ]
    assert (len(lines), lines[-1]) == (13, "and 20 more")
    assert "<!channel>" not in text
    assert "evil.example.org|" not in text.replace("&lt;https://evil.example.org|", "")
    assert "see `whence violations --grouped`" in short


@pytest.mark.parametrize(
    "status, headers, kind, code",
    [
        (200, {}, "accepted", ""), (503, {"Retry-After": "90"}, "failed", "http-503"), (408, {}, "failed", "http-408"),
        (429, {"Retry-After": "90"}, "failed", "http-429"), (425, {}, "failed", "http-425"),
        (302, {"Location": "http://127.0.0.1:1/"}, "failed", "redirected"), (400, {}, "refused", "http-400"),
        (404, {}, "refused", "http-404"), (410, {}, "gone", "gone"),
    ],
)  # fmt: skip
async def test_each_status_means_what_the_table_says(
    status: int, headers: dict[str, str], kind: str, code: str
) -> None:
    async with hook() as (found, poster):
        found.status, found.headers = status, headers
        outcome = await signed(found, poster, NEW).send(parcel(), datetime.now(UTC))
    assert (outcome.kind, outcome.code) == (kind, code)
    assert outcome.retry_after_seconds == (90.0 if headers.get("Retry-After") else None)
    assert len(found.got) == 1
    assert "SECRET" not in outcome.reason


async def test_a_receiver_that_is_away_or_has_a_private_address_is_a_failure_that_shows_its_host_only() -> None:
    async with hook() as (found, poster):
        closed = HttpPoster(session=poster.session, lookup=public, private_addresses=False)
        private = await SlackSender(poster=closed, url=lambda: found.url, address="").send(parcel(), datetime.now(UTC))
        away = "http://127.0.0.1:9/services/SECRET"
        gone = await SlackSender(poster=poster, url=lambda: away, address="").send(parcel(), datetime.now(UTC))
    assert found.got == []
    assert (private.kind, private.code) == ("failed", "private-address")
    assert gone == DeliveryOutcome(
        kind="failed", code="unreachable", reason="127.0.0.1 does not answer (ClientConnectorError)"
    )  # fmt: skip


async def test_a_file_that_cannot_be_used_is_tried_again() -> None:
    def broken() -> str:
        raise InputError("notification-url", "/etc/whence/url does not hold one https URL")

    async with hook() as (_, poster):
        outcome = await SlackSender(poster=poster, url=broken, address="").send(parcel(), datetime.now(UTC))
    assert (outcome.kind, outcome.reason) == ("failed", "/etc/whence/url does not hold one https URL")


async def test_slack_gets_text_in_which_nothing_mentions_anybody() -> None:
    async with hook() as (found, poster):
        sender = SlackSender(poster=poster, url=lambda: found.url, address=ADDRESS)
        assert await sender.send(parcel(notification(reason=HOSTILE, subject=HOSTILE)), datetime.now(UTC)) == ACCEPTED
    document = msgspec.json.decode(found.got[0][1])
    escaped = "&lt;!channel&gt; &amp; &lt;https://evil.example.org|click&gt; Bcc: eve@example.org"
    assert document == {
        "text": (
            "*Opened*: <https://whence.example.org/v1/violations/v-7c52a6e2bfde6aa827c1|The image is not signed> "
            f"(severity 3)\nimage-unsigned: version {escaped}, team hello\n{escaped}"
        ),
        "unfurl_links": False, "unfurl_media": False, "link_names": False,
    }  # fmt: skip


@pytest.mark.parametrize("content", ["", "\n".join([NEW] * 5), "secret", "whsec_c2hvcnQ=", f"{NEW}\nwhsec_?"])
def test_a_secret_that_cannot_be_used_is_refused_without_being_shown(content: str) -> None:
    with pytest.raises(SecretInvalid) as raised:
        parse_secrets(content.encode(), name="/etc/whence/secret")
    assert "/etc/whence/secret" in raised.value.message
    assert "c2hvcnQ" not in raised.value.diagnostics()


class Mailbox:
    """A mail server that keeps what it takes."""

    def __init__(self) -> None:
        self.got: list[Envelope] = []
        self.refuses: dict[str, str] = {}
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:  # fmt: skip
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        self.got.append(envelope)
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)


@asynccontextmanager
async def mail_server(
    *, context: ssl.SSLContext | None = None, **more: Any
) -> AsyncIterator[tuple[Mailbox, Callable[..., SmtpMailer]]]:
    """Serve mail on loopback; `more` is for aiosmtpd."""
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(box, hostname="mail.example.org", authenticator=box.authenticate, **more), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]

    def mailer(login: Login | None = None, security: SmtpSecurity = "none") -> SmtpMailer:
        return SmtpMailer(
            host="127.0.0.1", port=port, security=security, login=lambda: login,
            context=lambda: context or ssl.create_default_context(),
        )  # fmt: skip

    try:
        yield box, mailer
    finally:
        server.close()
        await server.wait_closed()


def to_team(mailer: SmtpMailer, *recipients: str, team: str = "hello") -> MailSender:
    return MailSender(
        mailer=mailer, sender="whence@example.org", recipients=recipients or ("ada@example.org",), team=team,
        address=ADDRESS,
    )  # fmt: skip


NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


async def test_a_digest_is_a_plain_mail_that_groups_what_happened() -> None:
    found = parcel(
        notification(), notification("fixed", 9, id="v-2", state="fixed", subject="shop@2.0", severity=1),
        notification("acknowledged", 8, acknowledged_at="x"),
    )  # fmt: skip
    async with mail_server() as (box, mailer):
        sender = to_team(mailer(), "ada@example.org", "bob@example.org")
        assert await sender.send(found, NOW) == ACCEPTED
        assert await sender.send(found, NOW) == ACCEPTED
    first, again = (email.message_from_bytes(one.original_content or b"", policy=email.policy.SMTP) for one in box.got)
    assert box.got[0].rcpt_tos == ["ada@example.org", "bob@example.org"]
    assert (first["Subject"], first["To"]) == (
        "Whence: 1 fixed, 1 other news (hello)",
        "ada@example.org, bob@example.org",
    )
    assert first["Message-ID"] == again["Message-ID"] == "<msg_1@example.org>"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_content().replace("\r\n", "\n") == (
        "Violations, as of 2026-11-23T08:00:00.000Z\n\nFixed (1)\n\n* The image is not signed (severity 1)\n"
        "  image-unsigned: version shop@2.0, team hello\n  2026-11-22T12:10:00.000Z Fixed\n"
        "  https://whence.example.org/v1/violations/v-2\n\nOther news (1)\n\n* The image is not signed (severity 3)\n"
        "  image-unsigned: version greeter@1.0, team hello\n  2026-11-22T12:10:00.000Z Opened\n"
        "  2026-11-22T12:10:00.000Z Acknowledged\n"
        "  https://whence.example.org/v1/violations/v-7c52a6e2bfde6aa827c1\n"
    )


async def test_nothing_in_a_violation_or_team_can_add_a_header_or_a_recipient() -> None:
    async with mail_server() as (box, mailer):
        hostile = parcel(notification(reason=HOSTILE, subject=f"{HOSTILE}\r\n.\r\nMAIL FROM:<x@y>"))
        assert await to_team(mailer(), team=HOSTILE).send(hostile, NOW) == ACCEPTED
    (one,) = box.got
    message = email.message_from_bytes(one.original_content or b"", policy=email.policy.SMTP)
    assert one.rcpt_tos == ["ada@example.org"]
    assert sorted(message.keys()) == [
        "Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "MIME-Version", "Message-ID",
        "Subject", "To",
    ]  # fmt: skip


async def test_recipients_that_are_refused_do_not_keep_others_from_their_mail() -> None:
    async with mail_server() as (box, mailer):
        box.refuses = {"bob@example.org": "550 no such user", "eve@example.org": "450 later"}
        some = await to_team(mailer(), "ada@example.org", "bob@example.org").send(parcel(), NOW)
        none = await to_team(mailer(), "bob@example.org").send(parcel(), NOW)
        later = await to_team(mailer(), "bob@example.org", "eve@example.org").send(parcel(), NOW)
    assert (some.kind, some.reason) == ("accepted", "127.0.0.1 refuses bob@example.org")
    assert (none.kind, none.reason) == ("refused", "127.0.0.1: no recipient is accepted (550)")
    assert (later.kind, later.reason) == ("failed", "127.0.0.1: no recipient is accepted (450, 550)")


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's side, and a client's that trusts it."""
    now = datetime.now(UTC)
    return dated_certificate(tmp_path, begins=now - timedelta(days=1), ends=now + timedelta(days=1))


RIGHT, WRONG = (Login(username="w", password=one) for one in ("right", "wrong"))


async def test_a_login_that_is_refused_and_a_server_that_is_away_are_failures_without_the_password(
    caplog: pytest.LogCaptureFixture, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    caplog.set_level(logging.DEBUG, logger="whence_aggregator")
    ours, theirs = tls
    async with mail_server(context=theirs, tls_context=ours, auth_required=True) as (box, mailer):
        bad = await to_team(mailer(WRONG, "starttls")).send(parcel(), NOW)
    away = await to_team(mailer()).send(parcel(), NOW)
    assert (bad.kind, away.kind, box.got) == ("failed", "failed", [])
    assert (bad.reason, away.reason) == (
        "127.0.0.1: the login is refused (535)", "127.0.0.1: it does not take the mail (ConnectionRefusedError)"
    )  # fmt: skip
    assert "wrong" not in caplog.text


async def test_mail_goes_through_starttls_to_a_server_that_proves_its_name_and_to_no_other(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    ours, theirs = tls
    async with mail_server(context=theirs, tls_context=ours, auth_required=True) as (box, mailer):
        sent = await to_team(mailer(RIGHT, "starttls")).send(parcel(), NOW)
        unknown = SmtpMailer(host="127.0.0.1", port=mailer().port, security="starttls", login=lambda: RIGHT)
        refused = await to_team(unknown).send(parcel(), NOW)
    assert (sent, len(box.got), box.logins) == (ACCEPTED, 1, [(b"w", b"right")])
    assert refused.reason == "127.0.0.1: it does not take the mail (SSLCertVerificationError)"


async def test_mail_is_not_handed_to_a_server_without_tls_where_tls_is_wanted() -> None:
    async with mail_server() as (box, mailer):
        outcome = await to_team(mailer(RIGHT, "starttls")).send(parcel(), NOW)
    assert (outcome.kind, box.got, box.logins) == ("failed", [], [])
