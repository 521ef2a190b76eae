"""The rules about credentials: how old they are, who reads them, and whether they are mint's."""

from __future__ import annotations

from whence_aggregator.compliance.rule import Rule, given
from whence_aggregator.compliance.rules.credentials import (
    CREDENTIALS_NOT_ROTATED,
    CREDENTIALS_TAMPERED,
    credentials_not_rotated,
    credentials_old,
    credentials_tampered,
    credentials_unread,
)
from whence_aggregator.compliance.rules.password import password_grant_used

_NOW, _EARLIER, _LONG_AGO = "2026-11-22T12:00:00.000Z", "2026-11-22T11:00:00.000Z", "2026-10-01T12:00:00.000Z"
_CLIENT = {"kind": "client", "generation": "0b", "intended_at": _EARLIER, "committed_at": _EARLIER}
_OLD = {**_CLIENT, "intended_at": _LONG_AGO, "committed_at": _LONG_AGO}
_HELD = {"kind": "client", "generation": "0b", "version_id": "v-2", "since": _EARLIER, "is_minted": True,
         "is_written": True, "intended_at": _EARLIER}  # fmt: skip
_BEHIND = {**_HELD, "generation": "0a", "version_id": "v-1", "intended_at": _LONG_AGO, "since": _LONG_AGO}
_HEARD = {"last_seen": _NOW}
_ONLY_CLIENT = {"current": [_CLIENT], "kinds": ["client"]}

CREDENTIAL_RULES: tuple[Rule, ...] = (
    Rule(id="credentials-old", title="The current credentials are recent", severity=2, kind="application",
         source="mint", setting="user_credential_hours_max,client_credential_days_max", audit_relevant=True,
         rationale="The older a credential is, the more copies of it there may be.",
         remedy="see why it is not rotated: whence credentials APPLICATION", judge=credentials_old,
         examples=(given("pass", now=_NOW, settings={"client_credential_days_max": 31}, minted=_ONLY_CLIENT),
                   given("fail", now=_NOW, settings={"client_credential_days_max": 31},
                         minted={"current": [_OLD], "kinds": ["client"]}),
                   given("unknown", now=_NOW, settings={"client_credential_days_max": 31},
                         minted={"kinds": ["client"]}))),
    Rule(id=CREDENTIALS_NOT_ROTATED, title="The instance holds the current credentials", severity=2,
         source="mint", setting="credential_lag_minutes_max",
         rationale="The earlier generation ends, and then the application is refused.",
         remedy="see why the instance does not read the bucket: whence-agent status", judge=credentials_not_rotated,
         examples=(given("pass", now=_NOW, settings={"credential_lag_minutes_max": 30}, minted=_ONLY_CLIENT,
                         held=[_HELD]),
                   given("fail", now=_NOW, settings={"credential_lag_minutes_max": 30}, minted=_ONLY_CLIENT,
                         held=[_BEHIND], heard=_HEARD),
                   given("unknown", now=_NOW, settings={"credential_lag_minutes_max": 30}, minted=_ONLY_CLIENT))),
    Rule(id="credentials-unread", title="The credentials that are minted are read", severity=3, kind="application",
         source="mint", setting="credential_unread_hours_max",
         rationale="A credential that nobody reads is a secret too many, or a bucket that nobody reads.",
         remedy="give the role of the application s3:GetObject in its bucket, or take the bucket from its mint entry",
         judge=credentials_unread,
         examples=(given("pass", now=_NOW, settings={"credential_unread_hours_max": 24},
                         minted={"current": [{**_OLD, "is_read": True}], "kinds": ["client"]}),
                   given("fail", now=_NOW, settings={"credential_unread_hours_max": 24},
                         minted={"current": [_OLD], "kinds": ["client"], "has_readers": True}),
                   given("unknown", now=_NOW, settings={"credential_unread_hours_max": 24},
                         minted={"current": [_OLD], "kinds": ["client"]}))),
    Rule(id=CREDENTIALS_TAMPERED, title="The instance holds what mint wrote", severity=1, source="mint",
         audit_relevant=True,
         rationale="Whoever can write to the bucket can have the application speak as somebody else.",
         remedy="find out who wrote to the bucket; then have new ones made: whence credentials APPLICATION renew",
         judge=credentials_tampered,
         examples=(given("pass", now=_NOW, minted=_ONLY_CLIENT, held=[_HELD]),
                   given("fail", now=_NOW, minted=_ONLY_CLIENT, held=[{**_HELD, "is_written": False}], heard=_HEARD),
                   given("unknown", now=_NOW, minted=_ONLY_CLIENT))),
    Rule(id="password-grant-used", title="No password lies where a client suffices", severity=3, source="mint",
         rationale="A password is accepted anywhere, and RFC 9700 forbids its grant.",
         remedy="have mint make only a client for the application, or obtain its tokens without secrets: token_source",
         judge=password_grant_used,
         examples=(given("pass", now=_NOW, minted=_ONLY_CLIENT, held=[_HELD]),
                   given("fail", now=_NOW, minted=_ONLY_CLIENT, held=[_HELD, {**_HELD, "kind": "user"}]),
                   given("unknown", now=_NOW, minted=_ONLY_CLIENT))),
)  # fmt: skip
