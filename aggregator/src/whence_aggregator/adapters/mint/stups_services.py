"""STUPS's API of service users: a password and a client for each application, each committed by its `txid`.

Source: what mint's worker sends and reads, which differs from the provider's written specification.

A new password or client is valid beside the others, until one is committed: then the others end, passwords after a
grace period, clients at once. So nothing is committed before the one before is to end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whence_aggregator.adapters.mint.provider_fields import (
    SecretMarks,
    members,
    repeated,
    same_id,
    secret,
    text_id,
)
from whence_aggregator.adapters.mint.provider_http import ProviderHttp, segment
from whence_aggregator.adapters.mint.provider_logins import SecretFile, SignedInCalls
from whence_aggregator.adapters.mint.token_endpoint import TokenEndpoint
from whence_aggregator.mint.ports import ProviderRefused
from whence_aggregator.mint.values import (
    CredentialKind,
    GenerationId,
    KnownCredential,
    MadeCredential,
    ResourceScope,
    WantedClient,
)
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_GONE = (404, 410)
_NOT_KNOWN = (404, 409, 410)
"""Of a commit: the provider does not know the `txid`, most likely because it was committed before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceScopes:
    """Which scopes need the consent of a resource owner, and of which realm; the others are the service user's own."""

    realms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Scopes of resource owners by realm, as `<resource type>.<scope>`."""
    always: tuple[str, ...] = ("uid",)
    """Scopes that every service user has."""

    def client_scopes(self, wanted: tuple[ResourceScope, ...]) -> list[dict[str, Any]]:
        names = _names(wanted)
        found = {realm: [one for one in names if one in owned] for realm, owned in sorted(self.realms.items())}
        return [{"realm": realm, "scopes": scopes} for realm, scopes in found.items() if scopes]

    def user_scopes(self, wanted: tuple[ResourceScope, ...]) -> list[str]:
        owned = frozenset().union(*self.realms.values())
        return sorted({*self.always, *(one for one in _names(wanted) if one not in owned)})


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingClient:
    """Mint's own client, which checks new passwords by the password grant: no application's client secret is kept."""

    client_id: str
    secret: SecretFile


class StupsServices:
    """ProviderClients and ProviderCredentials of STUPS's service users."""

    kinds: frozenset[CredentialKind] = frozenset({"user", "client"})
    finds_lost = True
    has_client_per_generation = False

    def __init__(
        self, *, calls: SignedInCalls, tokens: TokenEndpoint, verifying: VerifyingClient, scopes: ServiceScopes,
        marks: SecretMarks,
    ) -> None:  # fmt: skip
        self._signed_in = calls
        self._calls: ProviderHttp = calls.calls
        self._tokens = tokens
        self._verifying = verifying
        self._scopes = scopes
        self._marks = marks

    async def ensure(self, wanted: WantedClient) -> str:
        body = {
            "id": wanted.username,
            "name": wanted.name or wanted.application_id,
            "owner": wanted.team_id,
            "subtitle": "",
            "client_config": {
                "redirect_urls": [wanted.redirect_url] if wanted.redirect_url else [],
                "scopes": self._scopes.client_scopes(wanted.scopes),
                "confidential": wanted.is_confidential,
            },
            "user_config": {"scopes": self._scopes.user_scopes(wanted.scopes)},
        }
        answer = await self._signed_in.send("PUT", self._path(wanted), body)
        if answer.status >= 300:
            raise self._calls.refusal("create or update the service user", answer)
        if answer.document is None:
            return wanted.client_id
        document = members(self._calls, answer.document, "create a service user")
        same_id(self._calls, document, "id", wanted.username)
        stated = document.get("client_id")
        return text_id(self._calls, document, "client_id") if stated else wanted.client_id

    async def delete(self, wanted: WantedClient) -> None:
        answer = await self._signed_in.send("DELETE", self._path(wanted))
        if answer.status >= 300 and answer.status not in _GONE:
            raise self._calls.refusal("delete the service user", answer)

    async def make(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential:
        if generation.kind == "user":
            return await self._password(wanted, current)
        return await self._client(wanted, current)

    async def recover(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential | None:
        return None  # NOTE: an unknown password or client stays valid, known to nobody, until the next commit ends it

    async def verify(self, wanted: WantedClient, made: MadeCredential) -> None:
        document = made.document
        if "application_password" in document:
            await self._tokens.check_user(
                document["application_username"] or "", document["application_password"] or "",
                client_id=self._verifying.client_id, secret=await self._verifying.secret.read(),
            )  # fmt: skip
        elif document["client_secret"] is not None:
            await self._tokens.check_client(document["client_id"] or "", document["client_secret"])

    async def commit(self, wanted: WantedClient, known: KnownCredential) -> None:
        """Do nothing: a commit would end the credential before it."""

    async def end(self, wanted: WantedClient, known: KnownCredential, current: KnownCredential | None) -> None:
        """Commit the one that stays, which ends all others. Without one, all end with the service user."""
        txid = current.handle.get("txid", "") if current is not None else ""
        if not txid or known.handle.get("txid") == txid:
            return
        answer = await self._signed_in.send("PUT", self._path(wanted, known.id.kind), {"txid": txid})
        if answer.status in _NOT_KNOWN:
            log.warning(
                "the provider does not know the transaction of the credential that stays: others may be valid still",
                extra=fields(
                    provider=self._calls.place.name, application_id=wanted.application_id, kind=known.id.kind,
                    status=answer.status,
                ),
            )  # fmt: skip
        elif answer.status >= 300:
            raise self._calls.refusal("commit the credential that stays", answer)

    async def _password(self, wanted: WantedClient, current: KnownCredential | None) -> MadeCredential:
        document = await self._made(wanted, "user", {})
        password = secret(self._calls, document, "password")
        return MadeCredential(
            document={"application_username": wanted.username, "application_password": password},
            handle=self._handle(wanted, document, password, current),
        )

    async def _client(self, wanted: WantedClient, current: KnownCredential | None) -> MadeCredential:
        if not wanted.client_id:
            raise self._calls.refused(
                "provider-client-unknown",
                "has stated no client_id for the service user",
                fix="sync the application again",
            )
        if not wanted.is_confidential:
            return MadeCredential(document={"client_id": wanted.client_id, "client_secret": None})
        document = await self._made(wanted, "client", {"id": wanted.username, "client_id": wanted.client_id})
        client_id = text_id(self._calls, document, "client_id")
        value = secret(self._calls, document, "client_secret")
        handle = self._handle(wanted, document, value, current)
        if current is not None and current.handle.get("client_id") == client_id:
            raise repeated(self._calls, "client_id")
        return MadeCredential(
            document={"client_id": client_id, "client_secret": value}, handle={**handle, "client_id": client_id}
        )

    async def _made(self, wanted: WantedClient, kind: CredentialKind, body: Any) -> dict[str, Any]:
        answer = await self._signed_in.send("POST", self._path(wanted, kind), body)
        if answer.status in _GONE:
            raise self._calls.refusal(f"make a new {kind} credential", answer, fix="sync the application again")
        if answer.status >= 300:
            raise self._calls.refusal(f"make a new {kind} credential", answer)
        document = members(self._calls, answer.document, "make a credential")
        if kind == "user":
            same_id(self._calls, document, "id", wanted.username)
        return document

    def _handle(
        self, wanted: WantedClient, document: dict[str, Any], value: str, current: KnownCredential | None
    ) -> dict[str, str]:
        """Return what the provider needs to commit a credential, after checking that it is a new one."""
        known = current.handle if current is not None else {}
        mark, txid = self._marks.of(wanted.application_id, value), text_id(self._calls, document, "txid")
        if known.get("mark") == mark:
            raise repeated(self._calls, "secret")
        if known.get("txid") == txid:
            raise repeated(self._calls, "txid")
        return {"txid": txid, "mark": mark}

    def _path(self, wanted: WantedClient, kind: CredentialKind | None = None) -> str:
        if not wanted.username.strip("."):
            raise ProviderRefused("provider-username", "the application has no usable name of a service user")
        path = f"/services/{segment(wanted.username)}"
        return path if kind is None else f"{path}/{'password' if kind == 'user' else 'client'}"


def _names(scopes: tuple[ResourceScope, ...]) -> list[str]:
    return sorted({f"{one.resource_type_id}.{one.scope_id}" for one in scopes})
