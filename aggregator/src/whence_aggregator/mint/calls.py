"""Requests to providers: each has its turn, an end, and one translation of what went wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from whence_aggregator.mint.key import MintKey, SealUnreadable
from whence_aggregator.mint.pace import ProviderPace
from whence_aggregator.mint.ports import (
    BucketUnavailable,
    ProviderClients,
    ProviderCredentials,
    ProviderRefused,
    ProviderThrottled,
)
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import MintState, StoredGeneration
from whence_aggregator.mint.values import KioStanding, KnownCredential, WantedClient
from whence_aggregator.ports import SourceUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MintProvider:
    """A provider, of the settings."""

    clients: ProviderClients
    credentials: ProviderCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCalls:
    """Asks providers by name."""

    providers: Mapping[str, MintProvider]
    pace: ProviderPace
    rules: MintRules
    key: MintKey = field(repr=False)

    def provider(self, name: str) -> MintProvider:
        """Return a provider. Raises ProviderRefused when the settings do not have it."""
        found = self.providers.get(name)
        if found is None:
            fix = "correct the provider of the application, or the providers in mint's settings"
            raise ProviderRefused("provider-unknown", f"no provider {name!r} is configured", fix=fix)
        return found

    async def ask(self, name: str, call: Callable[[MintProvider], Awaitable[T]]) -> T:
        """Ask a provider, when it is its turn. Raises ProviderRefused, ProviderThrottled, SourceUnavailable."""
        provider = self.provider(name)
        await self.pace.turn(name)
        try:
            async with asyncio.timeout(self.rules.call_seconds_max):
                return await call(provider)
        except TimeoutError as exc:
            seconds = round(self.rules.call_seconds_max)
            raise SourceUnavailable("provider-slow", f"{name} did not answer within {seconds} seconds") from exc
        except ProviderThrottled as exc:
            self.pace.throttle(name, exc.retry_after_seconds)
            raise

    def known(self, state: MintState, generation: StoredGeneration) -> KnownCredential:
        """Return a generation as its provider is told of it. Raises SealUnreadable."""
        handle = self.secret_handle(state, generation)
        return KnownCredential(id=generation.id, handle=generation.handle, secret_handle=handle)

    def secret_handle(self, state: MintState, generation: StoredGeneration) -> dict[str, str]:
        """Return the provider's secret handle; empty if it cannot be opened and the credentials were revoked since.

        Without a revocation, the key may be a wrong one by mistake. Raises SealUnreadable.
        """
        try:
            opened = self.key.open(generation.id, generation.sealed_handle)
        except SealUnreadable:
            if not state.is_revoked(generation):
                raise
            return {}
        return {name: value for name, value in opened.items() if value is not None}

    def current(self, state: MintState, generation: StoredGeneration) -> KnownCredential | None:
        """Return the generation beside which another is made."""
        found = state.current(generation.kind)
        return self.known(state, found) if found is not None and found.id != generation.id else None


async def bounded(call: Awaitable[T], bucket: str, rules: MintRules) -> T:
    """Return what S3 answers. Raises BucketUnavailable when it takes too long."""
    try:
        async with asyncio.timeout(rules.call_seconds_max):
            return await call
    except TimeoutError as exc:
        seconds = round(rules.call_seconds_max)
        raise BucketUnavailable("bucket-slow", f"S3 did not answer for {bucket} within {seconds} seconds") from exc


def wanted_of(state: MintState, standing: KioStanding | None) -> WantedClient:
    """Return what a provider is to know of an application; Kio's name and team are the newest."""
    one = state.application
    return WantedClient(
        application_id=one.application_id,
        name=standing.name if standing is not None else one.application_id,
        team_id=standing.team_id if standing is not None else one.team_id,
        username=one.username,
        is_confidential=one.is_confidential,
        redirect_url=one.redirect_url,
        scopes=one.scopes,
        client_id=one.client_id,
    )
