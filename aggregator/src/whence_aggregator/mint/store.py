"""The store of mint: of two writers that read the same revision, one writes nothing and reads again.

A step of a generation, what it changes of the application, and the step's entry in the log are one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.mint.rows import (
    generation_row,
    logged_change,
    mint_row,
    missing_count,
    possible_orphan,
    stored_generation,
    stored_mint,
    written_row,
)
from whence_aggregator.mint.state import LIVE_MAX, LoggedChange, MintState, PossibleOrphan, StoredGeneration, StoredMint
from whence_aggregator.mint.values import MintApplication, MintChange
from whence_aggregator.ports import Database, Transaction, WriteConflict
from whence_aggregator.projections.credentials import CHANGE_VERSION, CREDENTIAL, change_write, credential_write
from whence_aggregator.queries.events import LOOK_SOON
from whence_aggregator.queries.mint import (
    ADD_MINT_APPLICATION,
    ADD_MINT_GENERATION,
    CREDENTIAL_CHANGES,
    FORGET_MINT_GENERATIONS,
    MINT_APPLICATION,
    MINT_APPLICATIONS,
    MINT_CLIENT_OWNERS,
    MINT_DELETIONS,
    MINT_GENERATIONS,
    POSSIBLE_ORPHANS,
    QUEUE_MINT_APPLICATIONS,
    WRITE_MINT_APPLICATION,
    WRITE_MINT_GENERATION,
    ForgetMintGenerationsParameters,
)
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.work import ADD_TASK, LOOK_AGAIN, AddTaskParameters
from whence_common.clock import to_instant
from whence_common.errors import RoadError
from whence_common.ledger_entry import event

MINT_KIND = "mint"
"""Kind of the tasks of mint; the subject is the application's id."""
MINT_LANE = "mint"
_ORPHANS_MAX = 20
CHANGES_MAX = 20


class Overtaken(WriteConflict):
    """Another writer changed the row since it was read: nothing was written. Read it again."""

    def __init__(self) -> None:
        super().__init__(
            "mint-overtaken", "the application was changed at the same time", fix="read it, and send what is left to do"
        )


class TooManyDeletions(RoadError):
    """As many applications as may be were deleted in the last hour because they were missing from Kio."""

    def __init__(self) -> None:
        super().__init__(
            "mint-deletions-limited",
            "the application is missing from Kio; its credentials are not deleted, as many others were in this hour",
            fix="correct Kio if the application exists, or wait",
        )


class KioIncomplete(RoadError):
    """More than half of all applications are missing from Kio: it is taken to be incomplete."""

    def __init__(self) -> None:
        super().__init__(
            "mint-kio-incomplete",
            "the application is missing from Kio, as are more than half of all; none of them is deleted",
            fix="correct Kio; delete by hand what is really gone: DELETE /apps/{id} of mint",
        )


class MintStore:
    """Reads and writes applications and generations. Raises StorageUnavailable, and Overtaken where it is stated."""

    def __init__(self, *, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    async def load(self, application_id: str) -> MintState | None:
        """Return an application with its generations as they are at one moment."""
        found, generations = await self._database.fetch_all(
            together(
                MINT_APPLICATION.bind({"application_id": application_id}),
                MINT_GENERATIONS.bind({"application_ids": array([application_id])}),
            )
        )
        stored = list(map(stored_mint, found))
        if not stored:
            return None
        return MintState(stored=stored[0], generations=list(map(stored_generation, generations)))

    async def page(
        self, *, after: str, limit: int, team: str | None = None, is_failing: bool | None = None
    ) -> list[MintState]:
        """Return applications with their generations, by id, without those that are gone."""
        failing = None if is_failing is None else int(is_failing)
        asked_for = MINT_APPLICATIONS.bind({"after": after, "limit": limit, "team": team, "failing": failing})
        found = await self._database.fetch(asked_for)
        stored = list(map(stored_mint, found))
        asked = array([one.application.application_id for one in stored])
        rows = await self._database.fetch(MINT_GENERATIONS.bind({"application_ids": asked}))
        of: dict[str, list[StoredGeneration]] = {}
        for generation in map(stored_generation, rows):
            of.setdefault(generation.id.application_id, []).append(generation)
        return [MintState(stored=one, generations=of.get(one.application.application_id, [])) for one in stored]

    async def possible_orphans(self, application_id: str) -> list[PossibleOrphan]:
        """Return the newest generations that ended, and that the provider may accept still."""
        asked = POSSIBLE_ORPHANS.bind({"application_id": application_id, "limit": _ORPHANS_MAX})
        return list(map(possible_orphan, await self._database.fetch(asked)))

    async def changes(self, application_id: str) -> list[LoggedChange]:
        """Return what was written or ordered of an application last, the newest first."""
        asked = CREDENTIAL_CHANGES.bind({"application_id": application_id, "limit": CHANGES_MAX})
        return list(map(logged_change, await self._database.fetch(asked)))

    async def is_client_of_another(self, application_id: str, client_id: str) -> bool:
        """Return whether another application has a client of this id."""
        asked = MINT_CLIENT_OWNERS.bind({"client_id": client_id, "application_id": application_id})
        return bool(client_id) and bool(await self._database.fetch(asked))

    async def save(self, stored: StoredMint) -> None:
        """Write an application. Raises Overtaken."""
        async with self._database.transaction() as transaction:
            await _save(transaction, stored)

    async def change(self, stored: StoredMint, change: MintChange, *, at: datetime) -> None:
        """Write an application as it was ordered, with the entry in the log; revision 0: it is new. Its task is due.

        Raises Overtaken.
        """
        async with self._ledger.writing() as writing:
            await _save(writing.transaction, stored)
            await _look(writing.transaction, stored.application, at)
            await _log_change(writing, stored.application, change, at=to_instant(at))

    async def save_missing(
        self, stored: StoredMint, change: MintChange, *, now: datetime, deletions_an_hour_max: int
    ) -> None:
        """Write an application that is to be deleted because Kio lacks it, with the entry in the log.

        Raises Overtaken, KioIncomplete, TooManyDeletions.
        """
        since = to_instant(now - timedelta(hours=1))
        async with self._ledger.writing() as writing:
            counted = missing_count(await writing.transaction.fetch(MINT_DELETIONS.bind({"since": since})))
            if counted.is_of_kio:
                raise KioIncomplete
            if counted.deleted >= deletions_an_hour_max:
                raise TooManyDeletions
            await _save(writing.transaction, stored)
            await _log_change(writing, stored.application, change, at=to_instant(now))

    async def begin(self, stored: StoredMint, generation: StoredGeneration, *, reason: str) -> None:
        """Intend a generation, with its entry in the log.

        Raises Overtaken also when the application has changed, or has as many generations as may be.
        """
        application_id = generation.id.application_id
        first = together(
            MINT_APPLICATION.bind({"application_id": application_id}),
            MINT_GENERATIONS.bind({"application_ids": array([application_id])}),
        )
        async with self._ledger.writing(first) as writing:
            found, rows = writing.found
            known = MintState(
                stored=stored, generations=[one for one in map(stored_generation, rows) if one.kind == generation.kind]
            )
            if [one.revision for one in map(stored_mint, found)] != [stored.revision]:
                raise Overtaken
            live = known.live(generation.kind)
            if len(live) >= LIVE_MAX or any(one.phase in ("intended", "generated") for one in live):
                raise Overtaken
            writing.writes.append(ADD_MINT_GENERATION.bind([generation_row(generation)]))
            await _log(writing, generation, at=generation.intended_at, reason=reason)

    async def advance(
        self, generation: StoredGeneration, *, at: datetime, entry: str | None, stored: StoredMint | None = None
    ) -> StoredGeneration:
        """Write a generation, and the application if it is given. Raises Overtaken.

        `entry`: the step has an entry in the log, with this reason, which may be empty. Returns it with its revision.
        """
        if entry is None:
            async with self._database.transaction() as transaction:
                await _advance(transaction, generation, stored)
        else:
            async with self._ledger.writing() as writing:
                await _advance(writing.transaction, generation, stored)
                await _log(writing, generation, at=to_instant(at), reason=entry)
        return replace(generation, revision=generation.revision + 1)

    async def queue_all(self, now: datetime) -> None:
        """Add the tasks of all applications that have none: a restored database may lack some."""
        await self._database.write(QUEUE_MINT_APPLICATIONS.bind([{"due_at": to_instant(now)}]))


async def _save(transaction: Transaction, stored: StoredMint) -> None:
    row = mint_row(stored)
    written: Sequence[object]
    if stored.revision == 0:
        written = await transaction.fetch(ADD_MINT_APPLICATION.bind({**row, "revision": 1}))
    else:
        written = await transaction.fetch(WRITE_MINT_APPLICATION.bind(row))
    if not written:
        raise Overtaken


async def _look(transaction: Transaction, application: MintApplication, at: datetime) -> None:
    soon, subject = to_instant(at), application.application_id
    task: AddTaskParameters = {
        "kind": MINT_KIND, "subject": subject, "due_at": soon, "lane": MINT_LANE,
        "host": f"mint/{application.provider}",
    }  # fmt: skip
    await transaction.execute(
        ADD_TASK.bind([task]),
        LOOK_SOON.bind([{"kind": MINT_KIND, "subject": subject, "soon": soon}]),
        LOOK_AGAIN.bind([{"kind": MINT_KIND, "subject": subject, "soon": soon}]),
    )


async def _advance(transaction: Transaction, generation: StoredGeneration, stored: StoredMint | None) -> None:
    if not await transaction.fetch(WRITE_MINT_GENERATION.bind(written_row(generation))):
        raise Overtaken
    if stored is not None:
        await _save(transaction, stored)
    if generation.phase == "ended":
        one = generation.id
        ended: ForgetMintGenerationsParameters = {
            "application_id": one.application_id,
            "kind": one.kind,
            "generation": one.generation,
        }
        await transaction.execute(FORGET_MINT_GENERATIONS.bind([ended]))


async def _log(writing: Writing[object], generation: StoredGeneration, *, at: str, reason: str) -> None:
    stated = {
        "application_id": generation.id.application_id, "credential": generation.kind,
        "generation": generation.id.generation, "provider": generation.provider, "step": generation.step, "at": at,
        "client_id": generation.handle.get("client_id", ""), "written": generation.versions, "mac": generation.mac,
        "reason": reason,
    }  # fmt: skip
    ((index, _),) = await writing.append([NewEntry(kind=CREDENTIAL, content=event(CREDENTIAL, stated))])
    writing.writes.append(credential_write(index, stated))


async def _log_change(writing: Writing[object], one: MintApplication, change: MintChange, *, at: str) -> None:
    written = {
        "team_id": one.team_id, "username": one.username, "is_confidential": one.is_confidential,
        "provider": one.provider, "credentials": one.credentials, "redirect_url": one.redirect_url,
        "buckets": one.buckets, "clusters": one.clusters,
        "scopes": [f"{scope.resource_type_id}.{scope.scope_id}" for scope in one.scopes],
    }  # fmt: skip
    stated = {
        "application_id": one.application_id, "step": change.step, "at": at, "by": change.by, "reason": change.reason,
        "application": written if change.is_written else {},
    }  # fmt: skip
    content = event(CREDENTIAL, stated, version=CHANGE_VERSION)
    ((index, _),) = await writing.append([NewEntry(kind=CREDENTIAL, content=content)])
    writing.writes.append(change_write(index, stated))
