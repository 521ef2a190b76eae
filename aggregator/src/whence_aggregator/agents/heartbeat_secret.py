"""The heartbeat secret, from which agents' heartbeat keys are derived: the database stores only its fingerprint."""

from __future__ import annotations

import hashlib
import hmac

from whence_aggregator.agents import rows
from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.ports import Database
from whence_aggregator.queries.agents import (
    COUNT_ENROLMENTS,
    KEEP_SECRET_FINGERPRINT,
    REPLACE_SECRET_FINGERPRINT,
    RESEAL,
    SECRET_FINGERPRINT,
    KeepSecretFingerprintParameters,
)
from whence_aggregator.queries.audit import DUMP_LAST_SEEN
from whence_common.settings_file import SettingsInvalid

_NAME = "heartbeat"
_PAGE_ROWS = 1_000


def fingerprint(secret: bytes) -> str:
    """Return the fingerprint of a secret, which does not reveal it."""
    return hmac.new(secret, b"whence-heartbeat-secret-v1", hashlib.sha256).hexdigest()[:32]


async def check_secret(database: Database, secret: bytes | None, *, path: str) -> None:
    """Raise SettingsInvalid when agents have enrolled with another secret; `secret` is None if there is no file."""
    known = rows.fingerprint(await database.fetch(SECRET_FINGERPRINT.bind({"name": _NAME})))
    enrolled = rows.count(await database.fetch(COUNT_ENROLMENTS.bind({})))
    if not enrolled or (secret is not None and known in (None, fingerprint(secret))):
        return
    what = "does not exist" if secret is None else "contains another secret"
    raise SettingsInvalid(
        "heartbeat-secret",
        f"heartbeat_secret_file {path} {what}, but {enrolled} bindings were made with the previous secret: those"
        " agents' heartbeats would be refused",
        fix="restore the file, or copy it from a running replica; if it is lost, run whence-aggregator ledger"
        " accept-secret (each agent then enrols again by itself)",
    )


async def keep_secret(database: Database, secret: bytes) -> None:
    """Store the fingerprint of the secret that agents enrol with, unless one is stored."""
    enrolled = rows.count(await database.fetch(COUNT_ENROLMENTS.bind({})))
    row: KeepSecretFingerprintParameters = {"name": _NAME, "fingerprint": fingerprint(secret)}
    command = KEEP_SECRET_FINGERPRINT if enrolled else REPLACE_SECRET_FINGERPRINT
    await database.write(command.bind([row]))


async def accept_secret(database: Database, secret: bytes) -> int:
    """Replace the secret, and seal the rows of heartbeats again; return their number.

    Earlier changes to these rows can no longer be detected.
    """
    sightings, offset = Sightings(secret), 0
    await database.write(REPLACE_SECRET_FINGERPRINT.bind([{"name": _NAME, "fingerprint": fingerprint(secret)}]))
    while page := await database.fetch(DUMP_LAST_SEEN.bind({"limit": _PAGE_ROWS, "offset": offset})):
        await database.write(RESEAL.bind([sightings.sealed(rows.sighting(row)) for row in page]))
        offset += len(page)
    return offset
