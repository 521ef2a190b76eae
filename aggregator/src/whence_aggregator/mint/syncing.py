"""Steps of an application: the provider knows it, or deletes it; Kio has it, or lacks it."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace

from whence_aggregator.mint.calls import ProviderCalls
from whence_aggregator.mint.failing import cleared
from whence_aggregator.mint.made import CHARACTERS_MAX, wrong_client
from whence_aggregator.mint.ports import ProviderRefused
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import MintState
from whence_aggregator.mint.store import MintStore
from whence_aggregator.mint.values import MintChange, WantedClient
from whence_aggregator.ports import SourceUnavailable, WriteConflict
from whence_common.clock import Now, to_instant
from whence_common.storable import is_storable

log = logging.getLogger(__name__)


class Syncing:
    """Does the steps of an application. Raises what ProviderCalls raises, and Overtaken."""

    def __init__(self, *, store: MintStore, calls: ProviderCalls, rules: MintRules, now: Now) -> None:
        self._store = store
        self._calls = calls
        self._rules = rules
        self._now = now

    async def ensure(self, state: MintState, wanted: WantedClient, step: str) -> None:
        """Have the provider know the application as it is written here."""
        provider = state.application.provider
        client_id = await self._calls.ask(provider, lambda one: one.clients.ensure(wanted))
        if len(client_id) > CHARACTERS_MAX or not is_storable(client_id):
            raise ProviderRefused("provider-malformed", "the provider answers with a malformed client id")
        if await self._store.is_client_of_another(wanted.application_id, client_id):
            raise wrong_client()
        application = replace(
            state.application,
            client_id=client_id or state.application.client_id,
            team_id=wanted.team_id,
            last_synced=to_instant(self._now()),
        )
        stored = replace(cleared(state.stored, step), application=application, is_synced=True)
        try:
            await self._store.save(stored)
        except WriteConflict:
            await self._undo(provider, wanted)
            raise

    async def delete(self, state: MintState, wanted: WantedClient) -> None:
        """Have the provider delete the application; then it is gone."""
        await self._calls.ask(state.application.provider, lambda one: one.clients.delete(wanted))
        await self._store.save(replace(state.stored, gone_at=to_instant(self._now()), failures={}))

    async def note_standing(self, state: MintState, *, is_missing: bool) -> None:
        """Note that Kio lacks the application, the first time, or has it again."""
        since = to_instant(self._now()) if is_missing else ""
        stored = cleared(state.stored, "missing")
        await self._store.save(replace(stored, missing_since=since, missing_seen=int(is_missing)))

    async def delete_missing(self, state: MintState) -> None:
        """Note that Kio lacks the application, the second time: it is deleted.

        Raises KioIncomplete, TooManyDeletions.
        """
        now, reason = self._now(), f"missing from Kio since {state.stored.missing_since}"
        stored = replace(
            cleared(state.stored, "missing"),
            missing_seen=state.stored.missing_seen + 1,
            deleted_at=to_instant(now),
            deleted_reason=reason,
        )
        change = MintChange(step="deletion", by="", reason=reason)
        await self._store.save_missing(stored, change, now=now, deletions_an_hour_max=self._rules.deletions_an_hour_max)

    async def _undo(self, provider: str, wanted: WantedClient) -> None:
        """Delete at the provider what another replica deleted while it was written here."""
        state = await self._store.load(wanted.application_id)
        if state is not None and state.stored.gone_at:
            with suppress(ProviderRefused, SourceUnavailable):
                await self._calls.ask(provider, lambda one: one.clients.delete(wanted))
