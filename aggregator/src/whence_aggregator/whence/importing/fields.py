"""Kio's fields as a client may write them, and the judgement of one record. Pure; the server judges again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from whence_aggregator.whence.importing.values import Origin, Unmapped, WantedApplication
from whence_common.errors import one_line
from whence_common.identifiers import APPLICATION_ID_CHARACTERS_MAX, is_application_id

TEXTS = (
    "team_id", "name", "subtitle", "description", "service_url", "scm_url", "documentation_url", "specification_url",
    "support_url", "specification_type", "incident_contact",
)  # fmt: skip
FLAGS = ("active", "publicly_accessible")
CRITICALITY = "criticality_level"
WRITABLE = (*TEXTS, *FLAGS, CRITICALITY)
REQUIRED = ("team_id", "name", "active")
READ_ONLY = frozenset(
    {
        "id", "created", "created_by", "last_modified", "last_modified_by", "last_modified_time", "required_approvers",
        "matched_rank", "matched_description",
    }
)  # fmt: skip
"""Set by the server, or by the kio command's list; not imported."""
TEXT_CHARACTERS_MAX = 64 * 1024
_PASSWORD_IN_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s:]*:[^/?#@\s]+@")
_TOKEN_IN_URL = re.compile(r"https?://[^/?#@\s]+@", re.IGNORECASE)


def application_of(
    record: Mapping[str, Any], origin: Origin, lines: Mapping[str, int] | None = None
) -> tuple[WantedApplication | None, list[Unmapped]]:
    """Return an application of a record in Kio's fields, or what is wrong with it: every problem, not the first."""
    found = record.get("id")
    application_id = found if isinstance(found, str) else ""
    shown = application_id if is_application_id(application_id) else ""
    places = lines or {}

    def at(name: str) -> Origin:
        return Origin(file=origin.file, document=origin.document, line=places.get(name, origin.line))

    wrong = [
        Unmapped(origin=at(name), code=code, reason=reason, fix=fix, application_id=shown)
        for name, code, reason, fix in (*_wrong_id(found), *_wrong_fields(record))
    ]
    if wrong:
        return None, wrong
    fields = {name: record[name] for name in WRITABLE if record.get(name) is not None}
    initial = {} if "active" in fields else {"active": True}
    return WantedApplication(application_id=application_id, origin=origin, fields=fields, initial=initial), []


def wrong_id(text: str) -> tuple[str, str] | None:
    """Return why a text cannot be an application's id, and the fix; None if it can. Nothing is rewritten."""
    if is_application_id(text):
        return None
    shown = repr(one_line(text, 80))
    if len(text) > APPLICATION_ID_CHARACTERS_MAX:
        return f"{shown} is longer than {APPLICATION_ID_CHARACTERS_MAX} characters", "use a shorter name"
    if len(text) < 2:
        return f"{shown} is too short for an application id", "use a name of two characters or more"
    if not text.isascii():
        return f"{shown} has characters that are not ASCII", "use lower-case letters, digits and hyphens"
    if "_" in text or "." in text:
        hyphens = re.sub(r"[_.]+", "-", text.lower()).strip("-")
        advice = f"rename it, as in {hyphens!r}" if is_application_id(hyphens) else "rename it"
        return f"{shown} has '_' or '.', which an application id cannot have", advice
    if text[0].isdigit():
        return f"{shown} begins with a digit, which an application id cannot", "rename it to begin with a letter"
    return f"{shown} is not an application id", "use lower-case letters, digits and hyphens; begin with a letter"


def holds_secret(text: str) -> bool:
    """Return whether a URL holds a password or token; the ledger would keep it for ever."""
    return _PASSWORD_IN_URL.search(text) is not None or _TOKEN_IN_URL.search(text) is not None


def _wrong_id(found: object) -> Iterator[tuple[str, str, str, str]]:
    if not isinstance(found, str):
        yield "id", "import-id", "the record has no id, or it is not text", "add id: as in `id: greeter`"
        return
    wrong = wrong_id(found)
    if wrong is not None:
        yield "id", "import-id", *wrong


def _wrong_fields(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name in sorted(map(str, record.keys() - {*WRITABLE, *READ_ONLY})):
        yield name, "import-field", f"{one_line(name, 60)!r} is not a field of an application", "remove it"
    for name in ("team_id", "name"):
        if record.get(name) in (None, ""):
            yield name, "import-required", f"{name} is not stated", f"add {name}"
    for name in WRITABLE:
        value = record.get(name)
        if value is not None:
            yield from ((name, *wrong) for wrong in _wrong_value(name, value))


def _wrong_value(name: str, value: object) -> Iterator[tuple[str, str, str]]:
    if name in FLAGS:
        if not isinstance(value, bool):
            yield "import-type", f"{name} is not true or false", "write true or false, without quotes"
    elif name == CRITICALITY:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4:
            yield "import-type", f"{name} is not a whole number from 1 to 4", "use 1, 2, 3 or 4, or leave it out"
    elif not isinstance(value, str):
        yield "import-type", f"{name} is not text", "quote it"
    elif len(value) > TEXT_CHARACTERS_MAX:
        yield "import-too-long", f"{name} is longer than {TEXT_CHARACTERS_MAX} characters", "shorten it"
    elif any("\ud800" <= one <= "\udfff" for one in value) or "\0" in value:
        yield "import-text", f"{name} has characters that cannot be stored", "remove them"
    elif name.endswith("_url") and holds_secret(value):
        yield "import-secret", f"{name} has a password or token in the URL", "remove it, and revoke it"
