"""The inventory: the instances that the EC2 API lists, by account and region: those that should be heard.

User data is read when an instance is new, was started again, or is stopped: only then can it change. If it could not be
read, the reason is stored in its place and it is read again (collect/user_data.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.collect.amis import AmiCollector
from whence_aggregator.collect.rows import EnrolledLife, InventoryRecord, begun_at, failures, inventory_record, unlisted
from whence_aggregator.collect.user_data import DENIED, DOUBTFUL, SECRETS, UserDataRead, UserDataRounds
from whence_aggregator.compliance.presence import EC2_LAG, UNREAD_AFTER_FAILURES
from whence_aggregator.compliance.rules.instance import INSTANCE_UNLISTED
from whence_aggregator.compliance.rules.user_data import USER_DATA_CHANGED
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import APPENDED_AT_ONCE_MAX, NewEntry
from whence_aggregator.ports import Database, Ec2Inventory, ListedInstance, SourceUnavailable
from whence_aggregator.projections.events import project_inventory
from whence_aggregator.queries.collect import (
    BEGIN_LISTING,
    ENROLLED_UNLISTED,
    FAIL_LISTING,
    INVENTORY_OF_REGION,
    LISTING_BEGUN,
    PUT_LISTING,
    FailListingParameters,
    ListingBegunParameters,
)
from whence_aggregator.queries.compliance import MARK_ACCOUNT, UNJUDGE_AWAITING, UNJUDGE_PLACE
from whence_aggregator.queries.query import BoundCommand, array
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN, AddTaskParameters
from whence_aggregator.trace.facts import AMI_KIND, USER_DATA_NOT_YET
from whence_aggregator.trace.life import GONE, life_of
from whence_aggregator.trace.silences import AGENT_SILENT
from whence_aggregator.work.questions import INVENTORY_KIND, question
from whence_common.clock import Now, from_millis, to_instant, to_millis
from whence_common.errors import one_line
from whence_common.ledger_entry import event
from whence_common.storable import cleaned

_OVER = ("terminated", GONE)
_ENDING = ("shutting-down", "terminated")
"""States in which user data is not read."""
_NAMED_MAX = 5
AWAIT_LISTINGS = (AGENT_SILENT, INSTANCE_UNLISTED, USER_DATA_CHANGED)
"""Rules whose unknown verdicts a newer listing may resolve."""
_UNLISTED_MAX = 500
LISTING_SECONDS_MAX = 240.0
_FAILURE_CHARACTERS_MAX = 600


class InventoryCollector:
    """Lists one account and region at a time; what changed becomes entries of the log."""

    def __init__(self, *, database: Database, ledger: Ledger, ec2: Ec2Inventory, seconds: float, now: Now) -> None:
        self._database = database
        self._ledger = ledger
        self._ec2 = ec2
        self._user_data = UserDataRounds(ec2)
        self.amis = AmiCollector(ec2)
        self.seconds = seconds
        """The time from a listing to the next one."""
        self._now = now

    async def schedule(self, places: Sequence[tuple[str, str]]) -> None:
        """Add tasks that list accounts and regions, unless they exist."""
        due = to_instant(self._now())
        rows = [question(INVENTORY_KIND, f"{account}/{region}", due_at=due, lane=account) for account, region in places]
        await self._database.write(ADD_TASK_UNLESS_KNOWN.bind(rows))

    async def collect(self, subject: str) -> str:
        """List one `account/region`; return a summary in one sentence. Raises SourceUnavailable."""
        account_id, _, region = subject.partition("/")
        asked_at = to_millis(self._now())
        place: ListingBegunParameters = {"account_id": account_id, "region": region}
        await self._database.write(BEGIN_LISTING.bind([{**place, "begun_at": asked_at}]))
        try:
            found = await self._listed(account_id, region)
        except SourceUnavailable as exc:
            await self._failed(place, asked_at, exc)
            raise
        listed = list({one.instance_id: one for one in found}.values())  # pages may overlap while instances come and go
        rows = await self._database.fetch(INVENTORY_OF_REGION.bind(place))
        known = {one.instance_id: one for one in map(inventory_record, rows)}
        fresh = [one.instance_id for one in listed if _is_fresh(one, known.get(one.instance_id))]
        again = [one.instance_id for one in listed if _is_asked_again(one, known.get(one.instance_id))]
        read = await self._user_data.read(account_id, region, fresh=fresh, again=again)
        stated = [
            _event(one, place, _user_data(one, known.get(one.instance_id), read.get(one.instance_id))) for one in listed
        ]
        names = {one.instance_id for one in listed}
        stated += [
            {**place, **_kept(one), "state": GONE, "user_data": None}
            for name, one in known.items()
            if name not in names and one.state not in _OVER
        ]
        stated += await self._unlisted(place, names, asked_at)
        changed = [one for one in stated if _differs(one, known.get(one["instance_id"]), asked_at)]
        if not await self._append(changed, place, asked_at):
            return f"discarded: a newer listing began after this one of {from_millis(asked_at)}"
        was_unread = (await self._failures(place)) >= UNREAD_AFTER_FAILURES
        await self._database.write(
            PUT_LISTING.bind([{**place, "listed_at": asked_at, "instances": len(listed)}]),
            *(_marks(place) if was_unread else [UNJUDGE_AWAITING.bind([{**place, "rules": array(AWAIT_LISTINGS)}])]),
        )
        await self._database.write(ADD_TASK_UNLESS_KNOWN.bind(self._questions(listed, place)))
        summary = f"{len(listed)} instances listed at {to_instant(self._now())}, {len(changed)} of them changed"
        unread = [one["instance_id"] for one in stated if one["user_data_unread"] and one["state"] not in _OVER]
        if not unread:
            return summary
        more = f" and {len(unread) - _NAMED_MAX} more" if len(unread) > _NAMED_MAX else ""
        return f"{summary}; user data not read of {', '.join(unread[:_NAMED_MAX])}{more}"

    async def _failed(self, place: ListingBegunParameters, asked_at: int, exc: SourceUnavailable) -> None:
        """Note that a listing failed. From enough failures on, what rests on the inventory of the place is unknown."""
        before = await self._failures(place)
        more = UNREAD_AFTER_FAILURES if exc.code == DENIED else 1
        failed: FailListingParameters = {
            **place, "failed_at": asked_at, "failure": one_line(exc.message, _FAILURE_CHARACTERS_MAX), "failures": more
        }  # fmt: skip
        becomes_unread = before < UNREAD_AFTER_FAILURES <= before + more
        await self._database.write(FAIL_LISTING.bind([failed]), *(_marks(place) if becomes_unread else []))

    async def _failures(self, place: ListingBegunParameters) -> int:
        (row,) = await self._database.fetch(LISTING_BEGUN.bind(place))
        return failures(row)

    def _questions(self, listed: Sequence[ListedInstance], place: ListingBegunParameters) -> list[AddTaskParameters]:
        """Return the questions about the AMIs of instances that were not asked yet."""
        account_id, region, due = place["account_id"], place["region"], to_instant(self._now())
        amis = sorted({ami for one in listed if (ami := one.details.get("image_id"))})
        return [question(AMI_KIND, f"{account_id}/{region}/{ami}", due_at=due, lane=account_id) for ami in amis]

    async def _listed(self, account_id: str, region: str) -> Sequence[ListedInstance]:
        """Return the listed instances of all pages. Raises SourceUnavailable, also when that takes too long."""
        try:
            async with asyncio.timeout(LISTING_SECONDS_MAX):
                return await self._ec2.instances(account_id, region)
        except TimeoutError as exc:
            message = (
                f"EC2 of account {account_id} in {region}: no complete listing within {LISTING_SECONDS_MAX:g} seconds"
            )
            raise SourceUnavailable("ec2-too-slow", message) from exc

    async def _unlisted(self, place: ListingBegunParameters, listed: set[str], asked_at: int) -> list[dict[str, Any]]:
        """Return instances that enrolled well before this listing began, and were in no listing."""
        before = asked_at - int(EC2_LAG.total_seconds() * 1000)
        rows = await self._database.fetch(
            ENROLLED_UNLISTED.bind({**place, "enrolled_before": before, "limit": _UNLISTED_MAX})
        )
        empty = {"launched_at": "", "user_data_digest": "", "user_data_unread": "", "user_data": None}
        names = [name for name in unlisted(rows) if name not in listed]
        return [{**place, "instance_id": name, "state": GONE, **empty} for name in names]

    async def _append(self, changed: Sequence[dict[str, Any]], place: ListingBegunParameters, asked_at: int) -> bool:
        """Append the changes; return False, with the rest not appended, when a later listing has begun meanwhile.

        The later one may find no changes, so older findings must not be appended after it.
        """
        observed_at = to_instant(self._now())
        for start in range(0, len(changed), APPENDED_AT_ONCE_MAX):
            events = [
                {
                    "kind": "ec2-instance",
                    "subject": f"{place['account_id']}/{place['region']}/{value['instance_id']}",
                    "observed_at": observed_at,
                    "outcome": "found" if value["state"] not in _OVER else "absent",
                    "value": {**value, "asked_at": asked_at},
                    "reason": "",
                }
                for value in changed[start : start + APPENDED_AT_ONCE_MAX]
            ]
            async with self._ledger.writing() as writing:
                (newest,) = await writing.transaction.fetch(LISTING_BEGUN.bind(place))
                if begun_at(newest) > asked_at:
                    return False
                places = await writing.append([NewEntry(kind="fact", content=event("fact", one)) for one in events])
                indexed = [(index, one) for (index, _), one in zip(places, events, strict=True)]
                writing.moved |= await project_inventory(writing.transaction, indexed)
        return True


def _marks(place: ListingBegunParameters) -> list[BoundCommand]:
    """Return what has everything judged again that rests on the listings of a place."""
    return [UNJUDGE_PLACE.bind([place]), MARK_ACCOUNT.bind([{"account_id": place["account_id"]}])]


def _is_fresh(one: ListedInstance, before: InventoryRecord | None) -> bool:
    """Return whether user data has not been read since the last start of the instance."""
    if one.state in _ENDING:
        return False
    return before is None or before.launched_at != one.launched_at or before.user_data_unread == USER_DATA_NOT_YET


def _is_asked_again(one: ListedInstance, before: InventoryRecord | None) -> bool:
    """Return whether user data may have changed since it was read, or could not be read."""
    if one.state in _ENDING or _is_fresh(one, before):
        return False
    return one.state == "stopped" or (before is not None and before.user_data_unread != "")


def _user_data(one: ListedInstance, before: InventoryRecord | None, read: UserDataRead | None) -> UserDataRead:
    """Return the user data as read now, else as read since the last start.

    A temporary failure does not replace an earlier result; a denial does, as the user data is then no longer known.
    """
    same_start = before is not None and before.launched_at == one.launched_at
    if read is not None and (not read.unread or read.denied or not same_start):
        return read
    if before is not None and (same_start or one.state in _ENDING):
        unread = read.unread if read is not None and before.user_data_unread else before.user_data_unread
        secrets = {name: before.details[name] for name in (SECRETS, DOUBTFUL) if name in before.details}
        return UserDataRead(digest=before.user_data_digest, unread=unread, secrets=secrets)
    return UserDataRead(unread="" if one.state in _ENDING else USER_DATA_NOT_YET)


def _event(one: ListedInstance, place: ListingBegunParameters, user_data: UserDataRead) -> dict[str, Any]:
    details = {**one.details, **user_data.secrets}
    stated: dict[str, Any] = {**place, **msgspec.structs.asdict(one), **user_data.to_wire(), "details": details}
    if not details:
        del stated["details"]
    clean: dict[str, Any] = cleaned(stated)
    return clean


def _kept(one: InventoryRecord) -> dict[str, Any]:
    return {
        "instance_id": one.instance_id,
        "launched_at": one.launched_at,
        "user_data_digest": one.user_data_digest,
        "user_data_unread": one.user_data_unread,
    }


def _differs(value: Mapping[str, Any], before: InventoryRecord | None, asked_at: int) -> bool:
    names = ("state", "launched_at", "user_data_digest", "user_data_unread")
    if before is None or any(value[name] != getattr(before, name) for name in names):
        return True
    if "details" in value and value["details"] != before.details:
        return True
    return _lives_otherwise(before.enrolled, value["state"], asked_at)


def _lives_otherwise(enrolled: EnrolledLife | None, state: str, asked_at: int) -> bool:
    """Return whether this listing changes the life of an enrolled instance, though its listed state is unchanged.

    A reboot does: the machine stated that it stops, and EC2 lists it as running all the time.
    """
    if enrolled is None:
        return False
    life = life_of(listed=state, asked_at=asked_at, cause=enrolled.cause, spoke_at=enrolled.spoke_at)
    return enrolled.life != life
