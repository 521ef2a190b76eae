"""What messages state: the JSON of webhooks, the text for Slack, and the digest of a mail. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import msgspec

from whence_aggregator.notifications.outcome import Notification, Parcel
from whence_aggregator.violations.shown import shown_violation
from whence_common.errors import one_line

TEXT_CHARACTERS_MAX = 3_000
"""Slack cuts longer texts."""
_FIELD_CHARACTERS_MAX = 600
_LISTED_MAX = 500
"""Violations that a digest lists; the others are counted."""
SUMMARY_LISTED_MAX = 50
"""Violations that the summary of a webhook lists; receivers take bodies of 20 KB."""
_SUMMARY_LINES_MAX = 10
_SUMMARY_FIELD_CHARACTERS_MAX = 100
LIST_COMMAND = "whence violations --grouped"
_WORDS = {
    "opened": "Opened", "reopened": "Open again", "expired": "Open again: its exemption expired",
    "unexempted": "Open again: its exemption was withdrawn", "unacknowledged": "No longer acknowledged",
    "acknowledged": "Acknowledged", "exempted": "Exempted", "changed": "Changed", "unconfirmed": "Not confirmed",
    "confirmed": "Confirmed", "fixed": "Fixed", "test": "Test",
}  # fmt: skip
_SECTIONS = (
    ("Open", ("opened", "reopened", "expired", "unexempted", "unacknowledged")),
    ("Fixed", ("fixed",)),
    ("Other news", ("acknowledged", "exempted", "changed", "unconfirmed", "confirmed", "test")),
)


def link(address: str, violation: str) -> str:
    """Return where a violation is shown; empty without an address."""
    return f"{address.rstrip('/')}/v1/violations/{violation}" if address else ""


def list_link(address: str) -> str:
    """Return where all violations are listed; empty without an address."""
    return f"{address.rstrip('/')}/v1/violations?grouped=true" if address else ""


def webhook_summary(parcel: Parcel, *, address: str) -> bytes:
    """Return the JSON of a summary: how many steps of how many violations it stands for, and the newest of each."""
    newest = newest_of(parcel)
    listed = sorted(newest.values(), key=lambda one: (one.after.severity, one.after.id))
    shown = [
        {
            "id": one.after.id, "rule": one.after.rule, "subject": one.after.subject[:_SUMMARY_FIELD_CHARACTERS_MAX],
            "severity": one.after.severity, "step": one.step, "ledger_index": one.ledger_index,
        }
        for one in listed[:SUMMARY_LISTED_MAX]
    ]  # fmt: skip
    document: dict[str, Any] = {
        "type": "violations.summary",
        "timestamp": max(one.at for one in parcel.notifications),
        "data": {
            "steps": len(parcel.notifications), "violations": len(newest), "listed": shown,
            "more": len(newest) - len(shown), "link": list_link(address) or None,
        },
    }  # fmt: skip
    return msgspec.json.encode(document)


def slack_summary(parcel: Parcel, *, address: str) -> bytes:
    """Return the message of a summary, with the worst violations by name."""
    newest = newest_of(parcel)
    listed = sorted(newest.values(), key=lambda one: (one.after.severity, one.after.id))
    where = list_link(address)
    place = f"<{where}|all violations>, or `{LIST_COMMAND}`" if where else f"`{LIST_COMMAND}`"
    lines = [
        f"*{len(newest)} violations moved, stated here at once*: {_counted(listed)}",
        f"More messages than this channel takes in an hour; see {place}",
    ]
    for one in listed[:_SUMMARY_LINES_MAX]:
        violation = one.after
        title = _slack((str(violation.details.get("title", "")) or violation.rule)[:_SUMMARY_FIELD_CHARACTERS_MAX])
        subject = _slack(violation.subject[:_SUMMARY_FIELD_CHARACTERS_MAX])
        lines.append(f"{_word(one.step)}: {title} (severity {violation.severity}): {violation.kind} {subject}")
    if len(listed) > _SUMMARY_LINES_MAX:
        lines.append(f"and {len(listed) - _SUMMARY_LINES_MAX} more")
    return _slack_text(lines)


def newest_of(parcel: Parcel) -> dict[str, Notification]:
    """Return the newest step of each violation, by its id."""
    return {one.after.id: one for one in sorted(parcel.notifications, key=lambda one: one.ledger_index)}


def webhook_body(one: Notification, *, address: str) -> bytes:
    """Return the JSON of one step: its type, when it was taken, and the violation as it was after it."""
    document: dict[str, Any] = {
        "type": f"violation.{one.step}",
        "timestamp": one.at,
        "data": {
            "step": {
                "step": one.step, "at": one.at, "by": one.by or None, "comment": one.comment or None,
                "ledger_index": one.ledger_index,
            },
            "violation": shown_violation(one.after, now=one.at),
            "link": link(address, one.after.id) or None,
        },
    }  # fmt: skip
    return msgspec.json.encode(document)


def slack_body(one: Notification, *, address: str) -> bytes:
    """Return the message of one step; nothing in it can mention anybody or pretend to be a link."""
    violation = one.after
    title = _slack(str(violation.details.get("title", "")) or violation.rule)
    where = link(address, violation.id)
    lines = [
        f"*{_word(one.step)}*: {f'<{where}|{title}>' if where else title} (severity {violation.severity})",
        _slack(f"{violation.rule}: {violation.kind} {violation.subject}{_owner(violation.team)}"),
    ]
    if said := one.comment or violation.reason:
        lines.append(_slack(said))
    if one.by:
        lines.append(f"by {_slack(one.by)}")
    return _slack_text(lines)


def _slack_text(lines: Sequence[str]) -> bytes:
    text = "\n".join(lines)[:TEXT_CHARACTERS_MAX]
    return msgspec.json.encode({"text": text, "unfurl_links": False, "unfurl_media": False, "link_names": False})


def mail_content(
    parcel: Parcel, *, sender: str, recipients: Sequence[str], team: str, address: str, at: str, date: Any
) -> bytes:
    """Return the digest of a team as a mail. Its Message-ID is the parcel's, however often it is sent."""
    newest = {one.after.id: one for one in parcel.notifications}
    message = EmailMessage(policy=SMTP)
    message["Subject"] = one_line(f"Whence: {_counted(list(newest.values()))}" + (f" ({team})" if team else ""), 150)
    message["From"] = Address(addr_spec=sender)
    message["To"] = [Address(addr_spec=one) for one in recipients]
    message["Date"] = date
    message["Message-ID"] = f"<{parcel.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_digest(parcel, newest, address, at), cte="quoted-printable")
    return message.as_bytes()


def _digest(parcel: Parcel, newest: dict[str, Notification], address: str, at: str) -> str:
    steps: dict[str, list[Notification]] = {}
    for one in parcel.notifications:
        steps.setdefault(one.after.id, []).append(one)
    lines, listed = [f"Violations, as of {at}", ""], 0
    for heading, kinds in _SECTIONS:
        found = sorted(
            (one for one in newest.values() if one.step in kinds), key=lambda one: (one.after.severity, one.after.id)
        )
        if not found:
            continue
        lines += [f"{heading} ({len(found)})", ""]
        for one in found[: max(0, _LISTED_MAX - listed)]:
            lines += [*_paragraph(one, steps[one.after.id], address), ""]
        listed += len(found)
    if listed > _LISTED_MAX:
        lines += [f"{listed - _LISTED_MAX} more: see `{LIST_COMMAND}`", ""]
    return "\n".join(lines)


def _paragraph(one: Notification, steps: Sequence[Notification], address: str) -> list[str]:
    violation = one.after
    title = _plain(str(violation.details.get("title", "")) or violation.rule)
    lines = [f"* {title} (severity {violation.severity})", f"  {violation.rule}: {violation.kind} "
             f"{_plain(violation.subject)}{_owner(violation.team)}"]  # fmt: skip
    for each in steps:
        who = f" by {_plain(each.by)}" if each.by else ""
        said = f": {_plain(each.comment)}" if each.comment else ""
        lines.append(f"  {each.at} {_word(each.step)}{who}{said}")
    return [*lines, f"  {link(address, violation.id) or f'whence violation show {violation.id}'}"]


def _counted(found: Sequence[Notification]) -> str:
    counts = [(heading.lower(), sum(one.step in kinds for one in found)) for heading, kinds in _SECTIONS]
    return ", ".join(f"{n} {heading}" for heading, n in counts if n)


def _word(step: str) -> str:
    return _WORDS.get(step, step)


def _owner(team: str) -> str:
    return f", team {one_line(team, 100)}" if team else ""


def _plain(text: str) -> str:
    return one_line(text, _FIELD_CHARACTERS_MAX)


def _slack(text: str) -> str:
    """Return a text in which Slack finds no markup of its own: `<!channel>` and `<https://…|…>` are plain text."""
    return _plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
