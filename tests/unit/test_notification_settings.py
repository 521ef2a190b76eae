"""The setting notifications: what is accepted, every mistake with its place, and the files that a check reads."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from whence_aggregator.adapters.host_lookup import HostLookup
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.check.notifications import check_notifications
from whence_aggregator.notifications.destination import Destination
from whence_aggregator.settings.notifications import NotificationSettings, wrong_in_notifications
from whence_aggregator.settings.server import Settings, parse_settings, read_settings
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.notifications import _lanes, load_notifications
from whence_aggregator.wiring.outgoing import Outgoing
from whence_common.errors import InputError

HOOK: dict[str, Any] = {
    "name": "ops", "kind": "webhook", "url": "https://hooks.example.org/x", "secret_file": "/etc/whence/hook",
}  # fmt: skip
CHAT: dict[str, Any] = {"name": "chat", "kind": "slack", "url_file": "/etc/whence/chat"}
MAIL: dict[str, Any] = {"name": "mail", "kind": "mail", "recipients": {"hello": ["ada@example.org"]}}
SMTP: dict[str, Any] = {"host": "mail.example.org", "sender": "whence@example.org"}


def wrong(*destinations: dict[str, Any], **more: Any) -> list[str]:
    document = {"destinations": list(destinations), "smtp": SMTP, **more}
    return wrong_in_notifications(msgspec.convert(document, NotificationSettings))


def test_webhooks_chats_and_mail_are_accepted() -> None:
    quiet = [{"start": "22:00", "end": "07:00"}, {"start": "00:00", "end": "24:00", "days": ["saturday", "sunday"]}]
    assert wrong(HOOK, CHAT, {**MAIL, "time_zone": "Europe/Berlin", "quiet_hours": quiet}) == []
    assert wrong({**HOOK, "url": "http://127.0.0.1:8080/x", "private_addresses": True}) == []


@pytest.mark.parametrize(
    "destination, more, says",
    [
        ({**HOOK, "name": "Ops!"}, {}, "destinations[0].name must be 1 to 50"),
        ({**HOOK, "url": "http://hooks.example.org/"}, {}, "destinations[0].url must be an https URL"),
        ({**HOOK, "url": "http://127.0.0.1/"}, {}, "destinations[0].url must be an https URL"),
        ({**HOOK, "url": "https://a:b@hooks.example.org/"}, {}, "destinations[0].url must be an https URL"),
        ({**HOOK, "url_file": "/x"}, {}, "destinations[0].url or url_file must be set"),
        ({**HOOK, "secret_file": None}, {}, "destinations[0].secret_file is missing"),
        ({**CHAT, "url_file": None, "url": "https://hooks.example.org/"}, {}, "url_file is what Slack needs"),
        ({**MAIL, "recipients": {}}, {}, "recipients is missing"),
        ({**MAIL, "recipients": {"hello": ["ada"]}}, {}, "recipients.hello must be from 1 to 50 mail addresses"),
        ({**MAIL, "recipients": {"hello": ["a@b.c\nBcc: x"]}}, {}, "recipients.hello must be from 1 to 50 mail"),
        ({**MAIL, "teams": ["hello"]}, {}, "mail has recipients by team"),
        ({**HOOK, "recipients": {"hello": ["a@b.c"]}}, {}, "recipients are for mail"),
        ({**HOOK, "severities": [0]}, {}, "severities must be numbers from 1"),
        ({**HOOK, "steps": ["closed"]}, {}, "steps: closed is not a step"),
        ({**HOOK, "steps": ["fixed"]}, {}, "steps must have one by which a violation is announced"),
        ({**HOOK, "notify_after_seconds": -1}, {}, "notify_after_seconds must be from 0"),
        ({**HOOK, "messages_per_hour_max": 0}, {}, "messages_per_hour_max must be from 1 to 100000"),
        (
            {**MAIL, "messages_per_hour_max": 5},
            {},
            "messages_per_hour_max must be from 1 to 100000, and is not for mail",
        ),
        ({**HOOK, "give_up_after_seconds": 1}, {}, "give_up_after_seconds must be from 60"),
        ({**HOOK, "time_zone": "Mars/Base"}, {}, "time_zone: Mars/Base is not known"),
        ({**HOOK, "time_zone": "../etc/passwd"}, {}, "time_zone: ../etc/passwd is not a time zone"),
        ({**HOOK, "quiet_hours": [{"start": "9", "end": "10:00"}]}, {}, 'need times such as "07:30"'),
        ({**HOOK, "quiet_hours": [{"start": "00:00", "end": "24:00"}]}, {}, "leave no time"),
        ({**MAIL, "digest_at": []}, {}, "digest_at and digest_days must have"),
        (MAIL, {"smtp": None}, "notifications.smtp is missing"),
        (MAIL, {"smtp": {**SMTP, "security": "none"}}, "security: none would send mail in clear text"),
        (MAIL, {"smtp": {**SMTP, "sender": "whence"}}, "smtp.sender must be a mail address"),
        (HOOK, {"address": "ftp://x"}, "notifications.address must be the https URL"),
    ],
)
def test_each_mistake_is_named_with_its_place(destination: dict[str, Any], more: dict[str, Any], says: str) -> None:
    (found,) = wrong(destination, **more)
    assert says in found


def test_two_destinations_have_two_names() -> None:
    assert len(wrong(HOOK, HOOK)) == 2


def document(tmp_path: Path, **files: str) -> bytes:
    """Write the files, and return settings that name them."""
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="ascii")
    named = {
        "destinations": [
            {**HOOK, "secret_file": str(tmp_path / "secret")}, {**CHAT, "url_file": str(tmp_path / "url")},
            {**MAIL, "recipients": {"hello": ["ada@example.org"], "*": ["ops@example.org"]}},
        ],
        "smtp": {**SMTP, "login_file": str(tmp_path / "login")},
    }  # fmt: skip
    return json.dumps(
        {"audience": "https://whence.example.org", "accounts": ["123456789012"], "notifications": named}
    ).encode()


GOOD = {
    "secret": f"whsec_{base64.b64encode(b'k' * 32).decode()}\n", "url": "https://hooks.slack.example/T0/SECRET\n",
    "login": "whence:password\n",
}  # fmt: skip


def test_a_check_names_each_file_that_cannot_be_used_and_shows_none(tmp_path: Path) -> None:
    content = document(tmp_path, **{**GOOD, "url": "ftp://SECRET", "login": "password"})
    findings = SettingsProblems(read_settings(content, name="aggregator.yaml"))
    check_notifications(findings, findings.document.settings)
    (tmp_path / "secret").unlink()
    check_notifications(findings, findings.document.settings)
    text = findings.document.render(findings.problems)
    assert "notifications.destinations[1].url_file" in text
    assert "does not hold one https URL" in text
    assert "notifications.smtp.login_file" in text
    assert "notifications.destinations[0].secret_file" in text
    assert "SECRET" not in text
    assert all(one.line for one in findings.problems)


async def test_the_program_has_a_destination_for_each_place_and_each_team_of_a_mail(tmp_path: Path) -> None:
    settings = parse_settings(document(tmp_path, **GOOD), name="aggregator.yaml")
    found = await _destinations(settings, tmp_path)
    assert [(one.name, one.host, one.teams, one.other_teams) for one in found] == [
        ("ops", "hooks.example.org", None, frozenset()), ("chat", "hooks.slack.example", None, frozenset()),
        ("mail/hello", "mail.example.org", frozenset({"hello"}), frozenset()),
        ("mail/*", "mail.example.org", None, frozenset({"hello"})),
    ]  # fmt: skip
    assert [one.seconds_between for one in found] == [0.0, 1.0, 0.0, 0.0]
    assert [one.messages_per_hour_max for one in found] == [1_000, 60, None, None]
    (tmp_path / "url").write_text("nonsense", encoding="ascii")
    with pytest.raises(InputError, match=r"notifications.destinations\[1\].url_file: .*https URL"):
        await _destinations(settings, tmp_path)


async def _destinations(settings: Settings, tmp_path: Path) -> list[Destination]:
    lookup = HostLookup()
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with aiohttp.ClientSession() as session:
        outgoing = Outgoing(session=session, lookup=lookup, windows=Windows())
        try:
            loaded = load_notifications(settings, database, outgoing)
            assert list(loaded.services) == ["notifications"]
            assert settings.notifications is not None
            return [one.destination for one in _lanes(settings, settings.notifications, outgoing)]
        finally:
            lookup.close()
            await database.close()
