"""Logs that instances send without a signature, as Taupage's agents do. Recorded as asserted; they move nothing.

The whole fleet shares one password, so any instance may send a log in the name of any other one. No row of an instance
is written, and nothing that is traced or judged reads them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from whence_aggregator.fullstop.rows import log_known, logs_since
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database, Forbidden, Overloaded
from whence_aggregator.projections.fullstop import INSTANCE_LOG, instance_log_write
from whence_aggregator.queries.fullstop import (
    DROP_INSTANCE_LOG_CONTENTS,
    INSTANCE_LOG_KNOWN,
    INSTANCE_LOGS_SINCE,
    PUT_INSTANCE_LOG_CONTENT,
)
from whence_common import strict_base64
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.digest import sha256_digest
from whence_common.errors import InputError
from whence_common.identifiers import ACCOUNT_ID, INSTANCE_ID, REGION
from whence_common.ledger_entry import event
from whence_common.runtime.logs import fields
from whence_common.user_data.judge import judge
from whence_common.user_data.masking import masked
from whence_common.user_data.platform import PlatformRules

log = logging.getLogger(__name__)

LOG_BYTES_MAX = 1024 * 1024
"""Of one log, decoded."""
BODY_BYTES_MAX = 2 * LOG_BYTES_MAX
SOURCE = "unsigned report"
DOCUMENT_BYTES_MAX = 64 * 1024
LogType = Literal["USER_DATA", "AUDIT_LOG"]
ENTRY_BYTES = 1024
"""What a log takes beside its content and its document: the entry and its row."""
LOG_TYPES: tuple[LogType, ...] = ("USER_DATA", "AUDIT_LOG")
_SPACE = re.compile(r"[\r\n\t ]+")
_AGAIN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceLog:
    """One log, decoded."""

    account_id: str
    region: str
    instance_id: str
    boot_time: str
    log_type: LogType
    content: bytes

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> InstanceLog:
        """Read the JSON that the agents send. Raises InputError."""
        account_id, region = document.get("account_id"), document.get("region")
        instance_id, kind = document.get("instance_id"), document.get("log_type")
        if not isinstance(account_id, str) or not ACCOUNT_ID.match(account_id):
            raise _malformed("account_id is not an account id", "write its 12 digits")
        if not isinstance(region, str) or not REGION.match(region):
            raise _malformed("region is not a region", "write it like eu-central-1")
        if not isinstance(instance_id, str) or not INSTANCE_ID.match(instance_id):
            raise _malformed("instance_id is not an instance id", "write it like i-0123456789abcdef0")
        log_type = next((one for one in LOG_TYPES if one == kind), None)
        if log_type is None:
            raise _malformed("log_type is missing or unknown", f"send {' or '.join(LOG_TYPES)}")
        return cls(
            account_id=account_id, region=region, instance_id=instance_id, log_type=log_type,
            boot_time=_instant(document.get("instance_boot_time")), content=_decoded(document.get("log_data")),
        )  # fmt: skip


class InstanceLogs:
    """Takes logs of instances in `accounts`."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        accounts: Container[str],
        account_day_bytes_max: int,
        keep_days: int,
        now: Now,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._accounts = accounts
        self._account_day_bytes_max = account_day_bytes_max
        self._keep = timedelta(days=keep_days)
        self._now = now

    async def record(self, one: InstanceLog) -> bool:
        """Record a log durably; return whether it is new. Raises Forbidden, Overloaded, StorageUnavailable."""
        if one.account_id not in self._accounts:
            raise Forbidden("account-forbidden", f"account {one.account_id} is not one of this aggregator's accounts")
        digest, at = sha256_digest(one.content), self._now()
        document = await asyncio.to_thread(_document, one) if one.log_type == "USER_DATA" else None
        body: dict[str, Any] = {
            "account_id": one.account_id, "region": one.region, "instance_id": one.instance_id,
            "instance_boot_time": one.boot_time, "log_type": one.log_type, "digest": digest,
            "size": len(one.content), "document": document, "source": SOURCE, "state": "asserted",
            "recorded_at": to_instant(at),
        }  # fmt: skip
        known = INSTANCE_LOG_KNOWN.bind(
            {
                "instance_id": one.instance_id, "account_id": one.account_id, "log_type": one.log_type,
                "boot_time": one.boot_time, "digest": digest,
            }
        )  # fmt: skip
        since = to_instant(at - timedelta(days=1))
        async with self._ledger.writing() as writing:
            if log_known(await writing.transaction.fetch(known)):
                return False
            asked = INSTANCE_LOGS_SINCE.bind({"account_id": one.account_id, "since": since, "each": ENTRY_BYTES})
            taken = logs_since(await writing.transaction.fetch(asked)) + ENTRY_BYTES + len(one.content)
            if taken > self._account_day_bytes_max:
                raise Overloaded(
                    "instance-logs-limited", f"account {one.account_id} has sent too many logs in a day",
                    retry_after_seconds=_AGAIN_SECONDS,
                )  # fmt: skip
            ((index, _),) = await writing.append([NewEntry(kind=INSTANCE_LOG, content=event(INSTANCE_LOG, body))])
            await writing.transaction.execute(instance_log_write(index, body))
            if one.log_type == "AUDIT_LOG":
                await writing.transaction.execute(
                    PUT_INSTANCE_LOG_CONTENT.bind(
                        [{"digest": digest, "content": one.content, "recorded_at": to_instant(at)}]
                    ),
                    DROP_INSTANCE_LOG_CONTENTS.bind([{"before": to_instant(at - self._keep)}]),
                )
        return True


def _document(one: InstanceLog) -> dict[str, Any] | None:
    """Return user data masked; None if it cannot be read or is too large. Its digest is recorded anyway."""
    try:
        document = judge(one.content, PlatformRules()).document
        shown = masked(document, whole_environment=True) if document is not None else None
    except Exception:
        log.exception("a bug prevented reading user data that was sent", extra=fields(instance=one.instance_id))
        return None
    return shown if len(repr(shown)) <= DOCUMENT_BYTES_MAX else None


def _decoded(data: object) -> bytes:
    if not isinstance(data, str) or not data:
        raise _malformed("log_data is missing", "send the log as base64")
    try:
        content = strict_base64.decode(_SPACE.sub("", data))
    except ValueError as exc:
        raise _malformed("log_data is not base64", "send base64 (RFC 4648); line breaks are allowed") from exc
    if len(content) > LOG_BYTES_MAX:
        raise _malformed(f"log_data has more than {LOG_BYTES_MAX} bytes", "send a log in parts")
    return content


def _instant(stated: object) -> str:
    try:
        return to_instant(parse_instant(stated)) if isinstance(stated, str) else _no_time()
    except ValueError as exc:
        raise _malformed("instance_boot_time is not a time", "write it like 2026-11-22T12:00:00Z") from exc


def _no_time() -> str:
    raise ValueError("no text")


def _malformed(what: str, fix: str) -> InputError:
    return InputError("instance-log-malformed", what, fix=fix)
