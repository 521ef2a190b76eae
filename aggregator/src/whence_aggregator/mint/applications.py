"""Commands about applications whose credentials are minted. Who may give them is decided by the API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from whence_aggregator.mint.disturbing import disturbed_steps
from whence_aggregator.mint.failing import tried_at
from whence_aggregator.mint.state import LoggedChange, MintState, PossibleOrphan, StoredMint
from whence_aggregator.mint.store import MintStore
from whence_aggregator.mint.values import CredentialKind, MintApplication, MintChange, ResourceScope
from whence_aggregator.ports import Conflict, NotFound, WriteConflict
from whence_common.clock import Now, from_millis, parse_instant, to_instant, to_millis

_TRIES_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenMint:
    """An application as its team writes it, whole: what is left out is empty."""

    is_confidential: bool
    provider: str
    credentials: tuple[CredentialKind, ...]
    redirect_url: str = ""
    buckets: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    scopes: tuple[ResourceScope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMint:
    """An application as it is shown. Times are empty for never."""

    state: MintState

    @property
    def application(self) -> MintApplication:
        return self.state.application

    @property
    def last_password_rotation(self) -> str:
        return self._last_rotation("user")

    @property
    def last_client_rotation(self) -> str:
        return self._last_rotation("client")

    @property
    def last_synced(self) -> str:
        return self.application.last_synced

    @property
    def client_id(self) -> str:
        """The id of the client that is in use; empty before the first."""
        current = self.state.current("client")
        return (current.handle.get("client_id", "") if current is not None else "") or self.application.client_id

    @property
    def has_problems(self) -> bool:
        return self.state.stored.problem is not None

    @property
    def message(self) -> str:
        """What is wrong and what to do, without a secret; empty: nothing is wrong."""
        problem = self.state.stored.problem
        return problem.problem if problem is not None else ""

    @property
    def s3_errors(self) -> int:
        return self.state.stored.bucket_errors

    def _last_rotation(self, kind: CredentialKind) -> str:
        return max((one.committed_at for one in self.state.generations if one.kind == kind), default="")


class MintApplications:
    """Writes and reads applications. `on_work` is called when one is due. Raises StorageUnavailable.

    `per_generation` are the providers where each generation is a client of its own, with the scopes of its time.
    """

    def __init__(
        self,
        *,
        store: MintStore,
        now: Now,
        on_work: Callable[[], None],
        per_generation: Collection[str] = (),
    ) -> None:
        self._store = store
        self._now = now
        self._on_work = on_work
        self._per_generation = per_generation

    async def write(self, application_id: str, written: WrittenMint, *, team_id: str, username: str, by: str) -> None:
        """Create or replace an application; `username` is used when it is new. Raises Conflict, WriteConflict."""

        def change(before: MintState | None, now: datetime) -> tuple[StoredMint, MintChange]:
            stored = changed(before, now)
            is_new = before is None or bool(before.stored.gone_at)
            return stored, MintChange(
                step="created" if is_new else "changed",
                by=by,
                is_written=True,
                reason=stored.renewal_reason
                if before is not None and stored.renewal_at != before.stored.renewal_at
                else "",
            )

        def changed(before: MintState | None, now: datetime) -> StoredMint:
            at = to_instant(now)
            if before is None or before.stored.gone_at:
                application = _application(application_id, written, team_id, username, at)
                return StoredMint(application=application, revision=before.stored.revision if before is not None else 0)
            known = _not_deleting(before)
            if known.application.provider != written.provider:
                fix = "delete the application, wait until it is gone, and create it again"
                raise Conflict("mint-provider-fixed", "the provider of an application cannot be changed", fix=fix)
            application = replace(
                _application(application_id, written, team_id, known.application.username, at),
                client_id=known.application.client_id,
                last_synced=known.application.last_synced,
            )
            stored = replace(tried_at(known, now), application=application, is_synced=False)
            if known.application.is_confidential != written.is_confidential:
                reason = "whether the client is confidential was changed"
            elif set(known.application.credentials) != set(written.credentials):
                reason = "the kinds of credentials were changed"  # each object names the others in its metadata
            elif written.provider in self._per_generation and _asks_otherwise(known.application, written):
                reason = "the scopes or the redirect URL were changed"
            else:
                return stored
            return replace(stored, renewal_at=_after_all(before, now), renewal_reason=reason)

        await self._change(application_id, change)

    async def delete(self, application_id: str, *, by: str) -> None:
        """Have an application deleted at its provider and in its buckets. Raises NotFound, WriteConflict."""

        def change(before: MintState | None, now: datetime) -> tuple[StoredMint, MintChange | None]:
            known = _known(before)
            if known.deleted_at:
                return known, None
            reason = f"deleted by {by}"
            deleted = replace(tried_at(known, now), deleted_at=to_instant(now), deleted_reason=reason)
            return deleted, MintChange(step="deletion", by=by, reason=reason)

        await self._change(application_id, change)

    async def renew(self, application_id: str, *, by: str) -> None:
        """Have an application's credentials rotated now. Raises NotFound, Conflict, WriteConflict."""
        await self._renew(application_id, MintChange(step="renewal", by=by, reason=f"renewal requested by {by}"))

    async def revoke(self, application_id: str, *, by: str) -> None:
        """Have an application's credentials replaced now, and the old ones end without waiting for their readers.

        The last of them ends once its successor is committed, so that readers of the buckets always find one that
        works. Raises NotFound, Conflict, WriteConflict.
        """
        await self._renew(application_id, MintChange(step="revocation", by=by, reason=f"revoked by {by}"))

    async def read(self, application_id: str) -> ShownMint:
        """Return one application. Raises NotFound."""
        state = await self._store.load(application_id)
        _known(state)
        assert state is not None
        return ShownMint(state=state)

    async def find(self, application_id: str) -> ShownMint | None:
        """Return one application; None: no credentials are minted for it."""
        state = await self._store.load(application_id)
        return ShownMint(state=state) if state is not None and not state.stored.gone_at else None

    async def page(
        self, *, after: str, limit: int, team: str | None = None, is_failing: bool | None = None
    ) -> Sequence[ShownMint]:
        """Return applications by id, those after one; of a team, and those with or without problems."""
        found = await self._store.page(after=after, limit=limit, team=team, is_failing=is_failing)
        return [ShownMint(state=one) for one in found]

    async def possible_orphans(self, application_id: str) -> Sequence[PossibleOrphan]:
        """Return the newest generations that ended, and that the provider may accept still."""
        return await self._store.possible_orphans(application_id)

    async def changes(self, application_id: str) -> Sequence[LoggedChange]:
        """Return what was written or ordered of an application last, the newest first."""
        return await self._store.changes(application_id)

    async def _renew(self, application_id: str, order: MintChange) -> None:
        is_revoked = order.step == "revocation"

        def change(before: MintState | None, now: datetime) -> tuple[StoredMint, MintChange]:
            _known(before)
            assert before is not None
            # what is deleted can be revoked too, so that it ends without a key that is lost
            known, at = before.stored if is_revoked else _not_deleting(before), _after_all(before, now)
            application = replace(known.application, last_modified=to_instant(now))
            lasting = {step for one in before.generations for step in disturbed_steps(one)}
            renewed = replace(
                known,
                application=application,
                is_synced=False,
                renewal_at=at,
                renewal_reason=order.reason,
                revoked_at=at if is_revoked else known.revoked_at,
                failures={name: one for name, one in known.failures.items() if name in lasting},
                bucket_errors=0,
            )
            return renewed, order

        await self._change(application_id, change)

    async def _change(
        self,
        application_id: str,
        change: Callable[[MintState | None, datetime], tuple[StoredMint, MintChange | None]],
    ) -> None:
        """Write what `change` makes of the newest state; it is made again when another writer was first."""
        for attempt in range(_TRIES_MAX):
            now = self._now()
            try:
                stored, made = change(await self._store.load(application_id), now)
                if made is None:
                    return
                await self._store.change(stored, made, at=now)
            except WriteConflict:
                if attempt == _TRIES_MAX - 1:
                    raise
            else:
                self._on_work()
                return


def _application(application_id: str, written: WrittenMint, team_id: str, username: str, at: str) -> MintApplication:
    return MintApplication(
        application_id=application_id,
        team_id=team_id,
        username=username,
        is_confidential=written.is_confidential,
        provider=written.provider,
        credentials=written.credentials,
        redirect_url=written.redirect_url,
        buckets=written.buckets,
        clusters=written.clusters,
        scopes=written.scopes,
        last_modified=at,
    )


def _asks_otherwise(before: MintApplication, written: WrittenMint) -> bool:
    return (set(before.scopes), before.redirect_url) != (set(written.scopes), written.redirect_url)


def _known(state: MintState | None) -> StoredMint:
    if state is None or state.stored.gone_at:
        fix = "create it first, with PUT /apps/{id}"
        raise NotFound("mint-application-unknown", "no credentials are minted for this application", fix=fix)
    return state.stored


def _not_deleting(state: MintState) -> StoredMint:
    if state.stored.deleted_at:
        raise Conflict("mint-deleting", "the application is being deleted", fix="try again when it is gone")
    return state.stored


def _after_all(state: MintState, now: datetime) -> str:
    """Return now, or the first moment after every generation was intended."""
    newest = max((one.intended_at for one in state.generations), default="")
    return max(to_instant(now), from_millis(to_millis(parse_instant(newest)) + 1) if newest else "")
