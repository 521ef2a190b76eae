"""What callers send, read as values: reports, whitelisting rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.violations.exemption import EXEMPTION_DAYS_MAX, Scope
from whence_common.clock import parse_instant, to_instant
from whence_common.errors import InputError, one_line
from whence_common.identifiers import ACCOUNT_ID
from whence_common.storable import check_texts

META_INFO_BYTES_MAX = 32 * 1024
TEXT_CHARACTERS_MAX = 300
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


@dataclass(frozen=True, slots=True, kw_only=True)
class WhitelistingRule:
    """What a whitelisting rule is to cover, and until when. The exemption that it becomes is checked as any other."""

    type_id: str
    scope: Scope
    reason: object
    until: str

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> WhitelistingRule:
        """Read a rule; unknown keys are refused: fullstop. dropped them, and rules covered more. Raises InputError."""
        for name in document:
            if name not in _RULE_KEYS and (name not in _INSTEAD or document[name] is not None):
                fix = _INSTEAD.get(name, f"a rule has {', '.join(_RULE_KEYS)}")
                raise InputError("rule-key-unknown", f"a whitelisting rule has no key {one_line(name, 60)!r}", fix=fix)
        texts = {name: _text(document, name) for name in _RULE_KEYS if name not in ("reason", "expiry_date")}
        if not texts["violation_type"]:
            raise InputError("rule-incomplete", "the rule has no violation_type", fix="name the type that it is for")
        _check_type(texts["violation_type"])
        if not (texts["account_id"] or texts["application_id"]):
            fix = "name an account_id or an application_id"
            raise InputError("rule-incomplete", "the rule would cover everybody", fix=fix)
        if texts["account_id"] and not ACCOUNT_ID.match(texts["account_id"]):
            raise InputError("rule-malformed", "account_id is not an account id", fix="write its 12 digits")
        scope = Scope(
            application_id=texts["application_id"], version=texts["application_version"], account_id=texts["account_id"]
        )
        until = _expiry(document.get("expiry_date"))
        return cls(type_id=texts["violation_type"], scope=scope, reason=document.get("reason"), until=until)


def _expiry(stated: object) -> str:
    fix = f"set expiry_date, at most {EXEMPTION_DAYS_MAX} days ahead, as in 2026-12-24T12:00:00Z"
    if stated is None:
        raise InputError("rule-for-ever", "a whitelisting rule without expiry_date would last for ever", fix=fix)
    try:
        return to_instant(parse_instant(stated)) if isinstance(stated, str) else _no_time()
    except ValueError as exc:
        raise InputError("rule-malformed", "expiry_date is not a time", fix=fix) from exc


def _no_time() -> str:
    raise ValueError("no text")


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
