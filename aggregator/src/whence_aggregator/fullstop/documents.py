"""What callers send, read as values: reports, whitelisting rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import WantedExemption
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import InputError, one_line
from whence_common.identifiers import ACCOUNT_ID
from whence_common.storable import check_texts

META_INFO_BYTES_MAX = 32 * 1024
TEXT_CHARACTERS_MAX = 300
REASON_CHARACTERS_MAX = 1_000
EXEMPTION_DAYS_MAX = 366
_TYPE = re.compile(r"[A-Z][A-Z0-9_]{1,100}\Z")
_REPORT_KEYS = ("event_id", "account_id", "region", "meta_info", "violation_type")
_RULE_KEYS = (
    "violation_type", "account_id", "application_id", "application_version", "reason", "expiry_date",
)  # fmt: skip
_INSTEAD: Mapping[str, str] = {
    "violation_type_entity_id": "write violation_type: fullstop. dropped this key, and the rule was for every type",
    "image_name": "leave it out: name the application, the account and the type",
    "image_owner": "leave it out: name the application, the account and the type",
    "meta_info_json_path": "leave it out: name the application, the account and the type",
    "region": "leave it out: name the application, the account and the type",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationReport:
    """A violation that another program states. An empty text is what it does not state."""

    event_id: str
    account_id: str
    region: str
    violation_type: str
    meta_info: object
    instance_id: str = ""
    username: str = ""
    application_id: str = ""
    application_version: str = ""

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> ViolationReport:
        """Read a report; unknown keys are ignored, as fullstop. did. Raises InputError."""
        missing = [name for name in _REPORT_KEYS if document.get(name) in (None, "")]
        if missing:
            raise InputError(
                "report-incomplete", f"the violation has no {', '.join(missing)}", fix=f"send {', '.join(_REPORT_KEYS)}"
            )
        texts = {
            name: _text(document, name)
            for name in ("event_id", "account_id", "region", "violation_type", "instance_id", "username",
                         "application_id", "application_version")
        }  # fmt: skip
        if not ACCOUNT_ID.match(texts["account_id"]):
            raise InputError("report-malformed", "account_id is not an account id", fix="write its 12 digits")
        _check_type(texts["violation_type"])
        meta = document["meta_info"]
        try:
            content = msgspec.json.encode(meta)
        except (TypeError, RecursionError, OverflowError) as exc:
            raise InputError("report-malformed", "meta_info cannot be recorded") from exc
        if len(content) > META_INFO_BYTES_MAX:
            raise InputError("report-malformed", f"meta_info has more than {META_INFO_BYTES_MAX} bytes as JSON")
        return cls(meta_info=meta, **texts)


def wanted_exemption(document: Mapping[str, Any], types: ViolationTypes, now: datetime) -> WantedExemption:
    """Read a whitelisting rule. Unknown keys are refused: fullstop. dropped them, and the rule covered more.

    Raises InputError.
    """
    for name in document:
        if name not in _RULE_KEYS and (name not in _INSTEAD or document[name] is not None):
            fix = _INSTEAD.get(name, f"a rule has {', '.join(_RULE_KEYS)}")
            raise InputError("rule-key-unknown", f"a whitelisting rule has no key {one_line(name, 60)!r}", fix=fix)
    texts = {name: _text(document, name) for name in _RULE_KEYS if name not in ("reason", "expiry_date")}
    type_id, account_id = texts.pop("violation_type"), texts["account_id"]
    if not type_id:
        raise InputError("rule-incomplete", "the rule has no violation_type", fix="name the type that it is for")
    _check_type(type_id)
    if type_id not in types.known:
        raise InputError(
            "rule-type-unknown", f"there is no violation type {type_id}", fix="GET /api/violation-types lists them"
        )
    if account_id and not ACCOUNT_ID.match(account_id):
        raise InputError("rule-malformed", "account_id is not an account id", fix="write its 12 digits")
    if texts["application_version"] and not texts["application_id"]:
        raise InputError("rule-malformed", "application_version needs application_id", fix="send both")
    reason = document.get("reason")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_CHARACTERS_MAX:
        raise InputError(
            "rule-incomplete", "the rule has no reason", fix=f"write why, in at most {REASON_CHARACTERS_MAX} characters"
        )
    check_texts([reason], "reason")
    ends_at = _expiry(document.get("expiry_date"), now)
    return WantedExemption(type_id=type_id, reason=reason, ends_at=ends_at, **texts)


def _expiry(stated: object, now: datetime) -> str:
    latest = now + timedelta(days=EXEMPTION_DAYS_MAX)
    fix = f"set expiry_date, at most {EXEMPTION_DAYS_MAX} days ahead, as in {to_instant(now + timedelta(days=90))}"
    if stated is None:
        raise InputError("rule-for-ever", "a whitelisting rule without expiry_date would last for ever", fix=fix)
    try:
        at = parse_instant(stated) if isinstance(stated, str) else None
    except ValueError:
        at = None
    if at is None:
        raise InputError("rule-malformed", "expiry_date is not a time", fix=fix)
    if not now < at <= latest:
        raise InputError("rule-expiry", "expiry_date is in the past or too far ahead", fix=fix)
    return to_instant(at)


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX or not value.isprintable():
        what = f"{name} is not a text of at most {TEXT_CHARACTERS_MAX} printable characters"
        raise InputError("document-malformed", what)
    check_texts([value], name)
    return value


def _check_type(type_id: str) -> None:
    if not _TYPE.match(type_id):
        raise InputError(
            "document-malformed", "violation_type is not the id of a type", fix="write it like WRONG_AMI"
        )  # fmt: skip
