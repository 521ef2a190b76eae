"""The inventory: what the EC2 API lists, account by account and region by region. It is the denominator of silence.

User data is asked for when an instance is new, was started again, or is stopped: only then can it change. It is
digested and masked here, as agents do it, before anything is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from whence_aggregator.ledger.ledger import APPENDED_AT_ONCE_MAX, Ledger, NewEntry
from whence_aggregator.ports import Database, Ec2Inventory, ListedInstance, Row
from whence_aggregator.projections.events import project_inventory
from whence_common.clock import Now, to_instant
from whence_common.digest import sha256_digest
from whence_common.ledger_entry import event
from whence_common.user_data.judge import judge
from whence_common.user_data.masking import masked
from whence_common.user_data.platform import PlatformRules

GONE = "gone"
"""The state of an instance that the API no longer lists."""
_OVER = ("terminated", GONE)
_USER_DATA_ASKED_MAX = 500
"""In one round; the rest is asked for in the next one."""


class InventoryCollector:
    """Lists one account and region at a time; what changed becomes entries of the log."""

    def __init__(self, *, database: Database, ledger: Ledger, ec2: Ec2Inventory, seconds: float, now: Now) -> None:
        self._database = database
        self._ledger = ledger
        self._ec2 = ec2
        self._seconds = seconds
        self._now = now

    async def schedule(self, places: Sequence[tuple[str, str]]) -> None:
        """Have accounts and regions asked from now on, where they are not yet."""
        due = to_instant(self._now())
        rows = [{"kind": "inventory", "subject": f"{account}/{region}", "due_at": due} for account, region in places]
        await self._database.write(("add_task_unless_known", rows))

    async def collect(self, subject: str) -> str:
        """Ask for one `account/region`; give a sentence about it. Raises SourceUnavailable."""
        account_id, _, region = subject.partition("/")
        listed = await self._ec2.instances(account_id, region)
        place = {"account_id": account_id, "region": region}
        rows = await self._database.fetch("inventory_of_region", place)
        known: dict[str, Row] = {row["instance_id"]: row for row in rows}
        stated, asked = [], 0
        for one in listed:
            before = known.get(one.instance_id)
            if _needs_user_data(one, before) and asked < _USER_DATA_ASKED_MAX:
                asked += 1
                raw = await self._ec2.user_data(account_id, region, one.instance_id)
                stated.append(_event(one, place, _read(raw)))
            elif before is None or before["state"] != one.state:
                kept = {"user_data_digest": before["user_data_digest"] if before is not None else ""}
                stated.append(_event(one, place, kept))
        names = {one.instance_id for one in listed}
        stated += [
            {**place, **_kept(row), "state": GONE, "user_data": None}
            for name, row in known.items()
            if name not in names and row["state"] not in _OVER
        ]
        changed = [one for one in stated if _differs(one, known.get(one["instance_id"]))]
        await self._append(changed, subject)
        return f"{len(listed)} instances listed at {to_instant(self._now())}, {len(changed)} of them changed"

    def next_at(self) -> datetime:
        return self._now() + timedelta(seconds=self._seconds)

    async def _append(self, changed: Sequence[dict[str, Any]], subject: str) -> None:
        observed_at = to_instant(self._now())
        for start in range(0, len(changed), APPENDED_AT_ONCE_MAX):
            events = [
                {
                    "kind": "ec2-instance",
                    "subject": f"{subject}/{value['instance_id']}",
                    "observed_at": observed_at,
                    "outcome": "found" if value["state"] not in _OVER else "absent",
                    "value": value,
                    "reason": "",
                }
                for value in changed[start : start + APPENDED_AT_ONCE_MAX]
            ]
            async with self._ledger.writing() as writing:
                places = await writing.append([NewEntry(kind="fact", content=event("fact", one)) for one in events])
                indexed = [(index, one) for (index, _), one in zip(places, events, strict=True)]
                await project_inventory(writing.transaction, indexed)


def _needs_user_data(one: ListedInstance, before: Row | None) -> bool:
    if one.state in ("terminated", "shutting-down"):
        return False
    return before is None or before["launched_at"] != one.launched_at or one.state == "stopped"


def _read(raw: bytes | None) -> dict[str, Any]:
    """Digest user data, and mask it where it can be read."""
    if raw is None:
        return {"user_data_digest": "", "user_data": None}
    document = judge(raw, PlatformRules()).document
    return {
        "user_data_digest": sha256_digest(raw),
        "user_data": masked(document, whole_environment=True) if document is not None else None,
    }


def _event(one: ListedInstance, place: Mapping[str, str], user_data: Mapping[str, Any]) -> dict[str, Any]:
    return {**place, **msgspec.structs.asdict(one), "user_data": None, **user_data}


def _kept(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("instance_id", "launched_at", "user_data_digest")}


def _differs(value: Mapping[str, Any], before: Row | None) -> bool:
    names = ("state", "launched_at", "user_data_digest")
    return before is None or any(value[name] != before[name] for name in names)
