"""Steps of a generation at its provider: it is made, verified, committed and ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from whence_aggregator.mint.calls import ProviderCalls
from whence_aggregator.mint.failing import cleared, cleared_of_kind, failed
from whence_aggregator.mint.key import SealUnreadable, content_of
from whence_aggregator.mint.made import NotTrusted, check_made, same_secret, wrong_client
from whence_aggregator.mint.ports import ProviderNotReached, ProviderRefused, ProviderThrottled
from whence_aggregator.mint.state import MintState, StoredGeneration
from whence_aggregator.mint.store import MintStore
from whence_aggregator.mint.values import CredentialKind, GenerationId, KnownCredential, MadeCredential, WantedClient
from whence_aggregator.ports import SourceUnavailable, WriteConflict
from whence_common.backoff import Backoff
from whence_common.clock import Now, to_instant
from whence_common.errors import InputError, WhenceError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)


class Making:
    """Does the steps that ask a provider for credentials. Raises what ProviderCalls raises, and Overtaken."""

    def __init__(
        self,
        *,
        store: MintStore,
        calls: ProviderCalls,
        backoff: Backoff,
        now: Now,
        random_hex: Callable[[], str],
    ) -> None:
        self._store = store
        self._calls = calls
        self._backoff = backoff
        self._now = now
        self._random_hex = random_hex

    async def begin(self, state: MintState, wanted: WantedClient, kind: CredentialKind, reason: str) -> None:
        """Intend a generation durably, then have it made."""
        provider, at = state.application.provider, max(to_instant(self._now()), state.stored.renewal_at)
        if kind not in self._calls.provider(provider).clients.kinds:
            fix = "remove the kind from the application's credentials, or choose another provider"
            raise ProviderRefused("provider-kind", f"{provider} makes no credentials of kind {kind}", fix=fix)
        one = GenerationId(application_id=wanted.application_id, kind=kind, generation=self._random_hex())
        current = state.current(kind)
        disturbed = current.disturbed if current is not None and current.disturbances else 0
        generation = StoredGeneration(
            id=one, provider=provider, phase="intended", intended_at=at, asked_at=at, disturbed=disturbed
        )
        await self._store.begin(state.stored, generation, reason=reason)
        await self._make(state, wanted, generation)

    async def ask_again(self, state: MintState, wanted: WantedClient, generation: StoredGeneration) -> None:
        """Find what was made when the answer was lost; if nothing was, have it made.

        Where it cannot be found, the generation ends as a possible orphan, and another is made.
        """
        if not self._finds_lost(generation) and _UNMADE not in generation.handle:
            await self.give_up(generation, _LOST)
            return
        current = self._calls.current(state, generation)
        try:
            made = await self._calls.ask(
                generation.provider, lambda one: one.credentials.recover(wanted, generation.id, current)
            )
            if made is not None:
                await self._keep(state, wanted, generation, made)
                return
        except ProviderRefused as exc:
            await self._refused(state, generation, exc)
            return
        asked = replace(generation, asked_at=to_instant(self._now()), handle={})
        await self._make(state, wanted, await self._store.advance(asked, at=self._now(), entry=None))

    async def verify(self, state: MintState, wanted: WantedClient, generation: StoredGeneration, step: str) -> None:
        """Use the credential; from then on it is published, so every bucket may hold it.

        One that buckets may hold already is not ended when it is refused: it is not published until it is accepted.
        """
        try:
            made = self.opened(generation)
            await self._calls.ask(generation.provider, lambda one: one.credentials.verify(wanted, made))
        except (ProviderRefused, SealUnreadable) as exc:
            if generation.written:
                await self._refused_again(state, generation, exc, step)
            else:
                await self._refused(state, generation, exc)
            return
        written = {**dict.fromkeys(state.application.buckets, ""), **generation.written}
        verified = replace(generation, verified_at=to_instant(self._now()), written=written)
        stored = cleared(state.stored, step) if generation.written else state.stored
        changed = stored if stored != state.stored else None
        await self._store.advance(verified, at=self._now(), entry=None, stored=changed)

    async def commit(self, state: MintState, wanted: WantedClient, generation: StoredGeneration) -> None:
        """State to the provider that the credential is published; its secret is then erased here."""
        known = self._calls.known(state, generation)
        await self._calls.ask(generation.provider, lambda one: one.credentials.commit(wanted, known))
        now = self._now()
        committed = replace(generation, phase="committed", committed_at=to_instant(now), sealed="")
        stored = cleared_of_kind(state.stored, generation.kind)
        client_id = generation.handle.get("client_id") if generation.kind == "client" else None
        if client_id:
            stored = replace(stored, application=replace(stored.application, client_id=client_id))
        changed = stored if stored != state.stored else None
        await self._store.advance(committed, at=now, entry="", stored=changed)

    async def give_up(self, generation: StoredGeneration, reason: str) -> None:
        """Note durably that a generation is about to end."""
        await self._store.advance(self._ending(generation, reason), at=self._now(), entry=reason)

    async def end(self, state: MintState, wanted: WantedClient, generation: StoredGeneration, step: str) -> None:
        """Have the provider end a generation, unless that would end another one.

        What ends it may have been sealed with a key that is lost: it is then noted as one that may be left.
        """
        known = await self._to_end(state, wanted, generation)
        is_left = known is not None and bool(generation.sealed_handle) and not known.secret_handle
        if known is not None and not is_left:
            current = self._calls.current(state, generation)
            await self._calls.ask(generation.provider, lambda one: one.credentials.end(wanted, known, current))
        now = self._now()
        mac = "" if is_left else generation.mac  # without one, it is listed as a possible orphan
        ended = replace(generation, phase="ended", ended_at=to_instant(now), sealed="", sealed_handle="", mac=mac)
        stored = cleared(state.stored, step)
        changed = stored if stored != state.stored else None
        await self._store.advance(ended, at=now, entry=_LEFT if is_left else generation.end_reason, stored=changed)

    def opened(self, generation: StoredGeneration) -> MadeCredential:
        """Return the credential as the provider made it. Raises SealUnreadable, also when the row was changed."""
        document = self._calls.key.open(generation.id, generation.sealed)
        if self._calls.key.mac(content_of(document)) != generation.mac:
            raise SealUnreadable(generation.id)
        return MadeCredential(document=document, handle=generation.handle)

    async def _make(self, state: MintState, wanted: WantedClient, generation: StoredGeneration) -> None:
        current = self._calls.current(state, generation)
        try:
            made = await self._calls.ask(
                generation.provider, lambda one: one.credentials.make(wanted, generation.id, current)
            )
            await self._keep(state, wanted, generation, made)
        except ProviderRefused as exc:
            await self._refused(state, generation, exc)
        except (ProviderNotReached, ProviderThrottled):
            if not self._finds_lost(generation):
                unmade = replace(generation, handle={_UNMADE: "true"})
                await self._store.advance(unmade, at=self._now(), entry=None)
            raise

    def _finds_lost(self, generation: StoredGeneration) -> bool:
        return self._calls.provider(generation.provider).clients.finds_lost

    async def _keep(
        self, state: MintState, wanted: WantedClient, generation: StoredGeneration, made: MadeCredential
    ) -> None:
        """Store what was made, sealed. Raises ProviderRefused for what must not be published."""
        await self._check(state, wanted, generation, made)
        one, key = generation.id, self._calls.key
        generated = replace(
            generation,
            phase="generated",
            sealed=key.seal(one, made.document),
            sealed_handle=key.seal(one, made.secret_handle),
            handle=dict(made.handle),
            mac=key.mac(content_of(made.document)),
        )
        try:
            await self._store.advance(generated, at=self._now(), entry="")
        except WriteConflict:
            await self._disown(wanted, generated, made)
            raise

    async def _check(
        self, state: MintState, wanted: WantedClient, generation: StoredGeneration, made: MadeCredential
    ) -> None:
        check_made(generation.kind, made, wanted)
        ids = {made.document.get("client_id"), made.handle.get("client_id")}
        for client_id in ids:
            if client_id and await self._store.is_client_of_another(wanted.application_id, client_id):
                raise wrong_client()
        if "client_secret" in made.document and made.document["client_secret"] is None:
            return  # of a client without a secret: its document is the same each time
        mac = self._calls.key.mac(content_of(made.document))
        same = [one for one in state.generations if one.mac == mac and one.id != generation.id]
        if same:
            raise same_secret(is_live=any(one.is_live for one in same))

    async def _refused(self, state: MintState, generation: StoredGeneration, exc: WhenceError) -> None:
        """End a generation that no bucket holds: the same request would fail again. Another follows after a pause."""
        now = self._now()
        stored = failed(state.stored, generation.kind, exc, now=now, backoff=self._backoff, secrets=self.secrets(state))
        await self._store.advance(self._ending(generation, exc.code), at=now, entry=exc.code, stored=stored)

    async def _refused_again(self, state: MintState, generation: StoredGeneration, exc: WhenceError, step: str) -> None:
        """Note that a provider refuses what buckets may hold; twice for the same reason, it leaves the buckets.

        Readers of the buckets have nothing better, so one answer is not enough. Raises the refusal.
        """
        before = state.stored.failures.get(step)
        is_believed = isinstance(exc, ProviderRefused) and before is not None and before.code == exc.code
        if not is_believed or not generation.verified_at:
            raise exc
        now = self._now()
        stored = failed(state.stored, step, exc, now=now, backoff=self._backoff, secrets=self.secrets(state))
        await self._store.advance(replace(generation, verified_at=""), at=now, entry=exc.code, stored=stored)

    def secrets(self, state: MintState) -> list[str]:
        """Return the values of an application that must not be shown."""
        found = list[str]()
        for one in state.generations:
            for sealed in (one.sealed, one.sealed_handle):
                try:
                    opened = self._calls.key.open(one.id, sealed)
                except SealUnreadable:
                    continue
                found += [value for name, value in opened.items() if value and name not in _NOT_SECRET]
        return found

    def _ending(self, generation: StoredGeneration, reason: str) -> StoredGeneration:
        at = to_instant(self._now())
        return replace(generation, phase="ending", ending_at=at, end_reason=reason, sealed="")

    async def _disown(self, wanted: WantedClient, generated: StoredGeneration, made: MadeCredential) -> None:
        """End what was made here while another replica went on, unless it keeps the same."""
        one = generated.id
        state = await self._store.load(one.application_id)
        kept = [other for other in state.generations if other.kind == one.kind and other.is_live] if state else []
        if any(other.mac == generated.mac or (other.id == one and other.handle == generated.handle) for other in kept):
            return
        known = KnownCredential(id=one, handle=made.handle, secret_handle=made.secret_handle)
        current = self._calls.current(state, generated) if state else None
        try:
            await self._calls.ask(generated.provider, lambda provider: provider.credentials.end(wanted, known, current))
        except (SourceUnavailable, InputError) as exc:
            log.warning(
                "a credential that was made twice could not be ended",
                extra=fields(application_id=one.application_id, generation=one.generation, code=exc.code),
            )

    async def _to_end(
        self, state: MintState, wanted: WantedClient, generation: StoredGeneration
    ) -> KnownCredential | None:
        """Return what the provider is to end; None: nothing of this generation is there."""
        others = {one.mac for one in state.live(generation.kind) if one.id != generation.id and one.mac}
        if generation.mac:
            return None if generation.mac in others else self._calls.known(state, generation)
        current = self._calls.current(state, generation)
        made = await self._calls.ask(
            generation.provider, lambda one: one.credentials.recover(wanted, generation.id, current)
        )
        if made is None or self._calls.key.mac(content_of(made.document)) in others:
            return None
        try:
            await self._check(state, wanted, generation, made)
        except NotTrusted:
            raise
        except ProviderRefused:
            pass  # what must not be published is ended all the same
        return KnownCredential(id=generation.id, handle=made.handle, secret_handle=made.secret_handle)


_LOST = "the provider's answer was lost, and what it made cannot be found"
_UNMADE = "unmade"
"""Member of the handle of a generation that the provider was not reached to make: it is made under the same id."""
_LEFT = "it may be left at the provider: what ends it was sealed with another key"
_NOT_SECRET = ("application_username", "client_id")
