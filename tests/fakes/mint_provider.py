"""A provider of credentials in memory: it accepts what it made until it is told to end it, and has bad weather."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from whence_aggregator.mint.ports import ProviderNotReached, ProviderRefused, ProviderThrottled
from whence_aggregator.mint.values import CredentialKind, GenerationId, KnownCredential, MadeCredential, WantedClient
from whence_aggregator.ports import SourceUnavailable

ProviderMishap = Literal["fine", "away", "lost", "throttled", "refused", "garbage", "same-secret", "wrong-id", "hangs"]
"""`away`: it fails before it acts; `lost`: after; `garbage`: it acts, and what it answers cannot be used."""
Style = Literal["beside", "new-client"]
"""Whether another secret of a client is valid beside the first, or a client with another id is made."""


@dataclass
class FakeCredential:
    """What the provider knows of a credential that it made."""

    id: GenerationId
    serial: str
    document: dict[str, str | None]
    is_accepted: bool = True
    is_committed: bool = False

    @property
    def secret(self) -> str | None:
        return self.document.get("application_password") or self.document.get("client_secret")


def fine(_: str) -> ProviderMishap:
    return "fine"


@dataclass
class FakeProvider:
    """Implements ProviderClients and ProviderCredentials. `weather` is asked before each request, by its name."""

    style: Style = "beside"
    is_finding: bool = True
    """Whether `recover` finds what was made; if not, it ends it."""
    kinds: frozenset[CredentialKind] = frozenset({"user", "client"})
    weather: Callable[[str], ProviderMishap] = fine
    on_change: Callable[[], None] = lambda: None
    """Called after each change of what is accepted."""
    finds_lost: bool = True
    """If not, `recover` neither finds nor ends anything."""
    has_client_per_generation: bool = False
    clients: dict[str, WantedClient] = field(default_factory=dict)
    credentials: list[FakeCredential] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _serial: int = 0

    def accepts(self, document: Mapping[str, str | None]) -> bool:
        """Return whether an application could get a token with the content of an object."""
        return any(one.is_accepted and one.document == dict(document) for one in self.credentials)

    def accepted(self, application_id: str) -> list[FakeCredential]:
        return [one for one in self.credentials if one.is_accepted and one.id.application_id == application_id]

    def secrets(self) -> Iterator[str]:
        """Yield every secret that was ever made."""
        yield from (one.secret for one in self.credentials if one.secret)

    def forget(self, documents: Sequence[Mapping[str, str | None]]) -> None:
        """End, as some providers do after a time, what was not committed; not what is among the documents."""
        for one in self.credentials:
            one.is_accepted = one.is_accepted and (one.is_committed or one.document in documents)

    async def ensure(self, wanted: WantedClient) -> str:
        mishap = await self._arrives("ensure")
        self.clients[wanted.application_id] = wanted
        await self._leaves(mishap)
        return "" if self.style == "new-client" else self._client_id(wanted)

    async def delete(self, wanted: WantedClient) -> None:
        mishap = await self._arrives("delete")
        self.clients.pop(wanted.application_id, None)
        for one in self.accepted(wanted.application_id):
            one.is_accepted = False
        self.on_change()
        await self._leaves(mishap)

    async def make(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential:
        mishap = await self._arrives("make")
        if wanted.application_id not in self.clients:
            raise ProviderRefused("provider-refused", "there is no such service")
        known = [one for one in self.accepted(wanted.application_id) if one.id.kind == generation.kind]
        if mishap == "same-secret" and known:
            return _made(known[-1])
        made = self._new(wanted, generation)
        await self._leaves(mishap)
        return self._lied(made, mishap)

    async def recover(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential | None:
        mishap = await self._arrives("recover")
        if not self.finds_lost:
            return None
        found = [one for one in self.accepted(wanted.application_id) if one.id == generation]
        keep = found[-1:] if self.is_finding else []
        for one in found:
            one.is_accepted = one in keep
        self.on_change()
        await self._leaves(mishap)
        return self._lied(keep[0], mishap) if keep else None

    async def verify(self, wanted: WantedClient, made: MadeCredential) -> None:
        mishap = await self._arrives("verify")
        if mishap == "garbage" or not self.accepts(made.document):
            raise ProviderRefused("provider-refused", f"invalid credentials: {dict(made.document)}")
        await self._leaves(mishap)

    async def commit(self, wanted: WantedClient, known: KnownCredential) -> None:
        mishap = await self._arrives("commit")
        found = self._of(known)
        if found is None or not found.is_accepted:
            raise ProviderRefused("provider-refused", "there is no such transaction")
        found.is_committed = True
        await self._leaves(mishap)

    async def end(self, wanted: WantedClient, known: KnownCredential, current: KnownCredential | None) -> None:
        mishap = await self._arrives("end")
        found = self._of(known)
        if found is not None:
            assert known.secret_handle == {"registration_access_token": f"rat-{found.serial}"}
            for one in self.accepted(found.id.application_id):
                one.is_accepted = one.document != found.document  # clients without a secret are one client
            self.on_change()
        await self._leaves(mishap)

    def _new(self, wanted: WantedClient, generation: GenerationId) -> FakeCredential:
        self._serial += 1
        secret = f"s3cr3t-{self._serial:04d}-of-{generation.kind}"
        document: dict[str, str | None] = {"application_username": wanted.username, "application_password": secret}
        if generation.kind == "client":
            own = self._client_id(wanted) if self.style == "beside" else f"client-{self._serial:04d}"
            document = {"client_id": own, "client_secret": secret if wanted.is_confidential else None}
        made = FakeCredential(id=generation, serial=str(self._serial), document=document)
        self.credentials.append(made)
        self.on_change()
        return made

    def _client_id(self, wanted: WantedClient) -> str:
        return f"stups_{wanted.application_id}"

    def _lied(self, made: FakeCredential, mishap: ProviderMishap) -> MadeCredential:
        answer = _made(made)
        if mishap != "wrong-id":
            return answer
        others = [name for name in self.clients if name != made.id.application_id]
        wrong = f"stups_{others[0]}" if others else made.document.get("client_id")
        name = "application_username" if made.id.kind == "user" else "client_id"
        document = {**answer.document, name: "stups_somebody" if made.id.kind == "user" else wrong}
        handle = {**answer.handle, "client_id": wrong or ""} if made.id.kind == "client" else answer.handle
        return MadeCredential(document=document, handle=handle, secret_handle=answer.secret_handle)

    def _of(self, known: KnownCredential) -> FakeCredential | None:
        return next((one for one in self.credentials if one.serial == known.handle.get("txid")), None)

    async def _arrives(self, request: str) -> ProviderMishap:
        """Return what goes wrong after the provider has acted; raise for what goes wrong before."""
        self.requests.append(request)
        await asyncio.sleep(0)
        mishap = self.weather(request)
        match mishap:
            case "away":
                raise ProviderNotReached("provider-unreachable", "the provider does not answer")
            case "throttled":
                raise ProviderThrottled("provider-throttled", "too many requests", retry_after_seconds=30.0)
            case "refused":
                raise ProviderRefused("provider-refused", "the provider refuses the request")
        return mishap

    async def _leaves(self, mishap: ProviderMishap) -> None:
        """The provider has acted; its answer may be lost."""
        await asyncio.sleep(0)
        match mishap:
            case "lost":
                raise SourceUnavailable("provider-unreachable", "the connection was closed")
            case "garbage":
                raise ProviderRefused("provider-malformed", "the provider answers with HTML")
            case "hangs":
                raise TimeoutError


def _made(one: FakeCredential) -> MadeCredential:
    handle = {"txid": one.serial}
    if one.id.kind == "client":
        handle["client_id"] = str(one.document["client_id"])
    return MadeCredential(
        document=dict(one.document), handle=handle, secret_handle={"registration_access_token": f"rat-{one.serial}"}
    )
