"""Rows of credentials as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from whence_aggregator.queries.instance_credentials import (
    HELD_CREDENTIALS,
    LIVE_CREDENTIALS,
    HeldCredentialsRow,
    LiveCredentialsRow,
)
from whence_aggregator.queries.query import BoundQuery, array
from whence_aggregator.trace.credentials import CredentialName, HeldObject, KnownCredentials, LiveGeneration
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.stored_statement import StoredStatement
from whence_common.clock import from_millis, to_millis

_KIND_OF: dict[str, CredentialName] = {"user.json": "user", "client.json": "client"}
_WANTED = msgspec.json.Decoder(tuple[CredentialName, ...])
_WRITTEN = msgspec.json.Decoder(dict[str, str])
_NOT_RECORDED = ("intended", "generated")


def credential_queries(
    statements: Sequence[StoredStatement], application_ids: Sequence[str], heard_since: datetime, moment: Moment
) -> tuple[BoundQuery[HeldCredentialsRow], BoundQuery[LiveCredentialsRow]]:
    """Return the queries for the credentials of these statements' instances and applications; of the past, of none."""
    instances = [one.instance_id for one in statements] if moment.is_now else []
    applications = array(application_ids if moment.is_now else [])
    return (
        HELD_CREDENTIALS.bind({"instance_ids": array(instances)}),
        LIVE_CREDENTIALS.bind({"application_ids": applications, "heard_since": to_millis(heard_since)}),
    )


class CredentialsRead:
    """What was read of the credentials of some instances and their applications."""

    def __init__(self, held: Sequence[HeldCredentialsRow], live: Sequence[LiveCredentialsRow]) -> None:
        self._held: dict[str, list[HeldObject]] = {}
        for row in held:
            found = self._held.setdefault(row["instance_id"], [])
            if row["held"]:
                found.append(_held(row))
        self._live: dict[str, list[LiveGeneration]] = {}
        for one in live:
            self._live.setdefault(one["application_id"], []).append(_live(one))
        self._readers = {row["application_id"]: row["readers"] for row in live}
        self._wanted = {row["application_id"]: row["wanted"] for row in live}
        self._restored_at = max((row["restored_at"] for row in live), default="")

    def of(self, instance_id: str, application_id: str | None) -> KnownCredentials:
        """Return what is known of an instance and its application."""
        held = self._held.get(instance_id)
        return KnownCredentials(
            live=tuple(self._live.get(application_id or "", ())),
            readers=self._readers.get(application_id or "", 0),
            wanted=_WANTED.decode(self._wanted.get(application_id or "", "[]")),
            restored_at=self._restored_at,
            held=tuple(held) if held is not None else None,
        )


def _held(row: HeldCredentialsRow) -> HeldObject:
    written = [version for one in (row["written"], row["writing"]) for version in _WRITTEN.decode(one).values()]
    return HeldObject(
        kind=_KIND_OF[row["file"]],
        generation=row["generation"],
        version_id=row["version_id"],
        since=from_millis(row["since"]),
        is_minted=bool(row["minted"]),
        is_written=_is_written(row["version_id"], row["step"], written),
        intended_at=row["intended_at"],
    )


def _is_written(version_id: str, step: str, written: Sequence[str]) -> bool | None:
    """Return whether mint wrote a version. An empty one in `written`: a bucket may hold one that is not recorded."""
    if not version_id:
        return None
    if version_id in written:
        return True
    return None if step in _NOT_RECORDED or "" in written else False


def _live(row: LiveCredentialsRow) -> LiveGeneration:
    kind: CredentialName = "user" if row["kind"] == "user" else "client"
    return LiveGeneration(
        kind=kind,
        generation=row["generation"],
        intended_at=row["intended_at"],
        published_at=row["published_at"],
        committed_at=row["committed_at"],
        is_read=bool(row["is_read"]),
        has_secret=row["kind"] == "user" or bool(row["confidential"]),
        is_tampered=row["step"] == "tampered",
    )
