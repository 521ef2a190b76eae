"""Which heartbeat secret the enrolled agents' keys are derived from: the database holds its fingerprint alone."""

from __future__ import annotations

import hashlib
import hmac

from whence_aggregator.agents.sightings import Sightings
from whence_aggregator.ports import Database, Parameters
from whence_common.settings_file import SettingsInvalid

_NAME = "heartbeat"
_PAGE_ROWS = 1_000


def fingerprint(secret: bytes) -> str:
    """Return what tells one secret from another and reveals neither."""
    return hmac.new(secret, b"whence-heartbeat-secret-v1", hashlib.sha256).hexdigest()[:32]


async def check_secret(database: Database, secret: bytes | None, *, path: str) -> None:
    """Raises SettingsInvalid when agents have enrolled under another secret than this one; None: there is no file."""
    rows = await database.fetch("secret_fingerprint", {"name": _NAME})
    enrolled = (await database.fetch("count_enrolments", {}))[0]["n"]
    if not enrolled or (secret is not None and (not rows or rows[0]["fingerprint"] == fingerprint(secret))):
        return
    what = "is not there" if secret is None else "holds another secret"
    raise SettingsInvalid(
        "heartbeat-secret",
        f"heartbeat_secret_file {path} {what}, and {enrolled} bindings of agents were made with the one before: their"
        " heartbeats would be refused",
        fix="restore the file, or copy a running replica's; where it is lost: whence-aggregator ledger accept-secret"
        " (each agent then enrols again by itself)",
    )


async def keep_secret(database: Database, secret: bytes) -> None:
    """Record the secret that agents enrol under from now on, unless agents enrolled under one."""
    enrolled = (await database.fetch("count_enrolments", {}))[0]["n"]
    query = "keep_secret_fingerprint" if enrolled else "replace_secret_fingerprint"
    await database.write((query, [{"name": _NAME, "fingerprint": fingerprint(secret)}]))


async def accept_secret(database: Database, secret: bytes) -> int:
    """Take a secret in place of the one before: rows of heartbeats are sealed again; return how many there are.

    Whether somebody changed such a row before cannot be found out any more.
    """
    sightings, offset = Sightings(secret), 0
    await database.write(("replace_secret_fingerprint", [{"name": _NAME, "fingerprint": fingerprint(secret)}]))
    while rows := await database.fetch("dump_last_seen", {"limit": _PAGE_ROWS, "offset": offset}):
        sealed: list[Parameters] = [sightings.sealed(row) for row in rows]
        await database.write(("reseal", sealed))
        offset += len(rows)
    return offset
