"""Dynamic client registration (RFC 7591) and its management (RFC 7592): one registered client for each generation.

A registration whose answer was lost cannot be found by this protocol: its client stays at the provider, with a secret
that nobody knows. Its generation ends as a possible orphan, with the client_name by which an operator finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whence_aggregator.adapters.mint.provider_fields import (
    SecretMarks,
    members,
    repeated,
    same_id,
    secret,
    text_id,
)
from whence_aggregator.adapters.mint.provider_http import ProviderAnswer, ProviderHttp, bearer
from whence_aggregator.adapters.mint.provider_logins import SignedInCalls
from whence_aggregator.adapters.mint.token_endpoint import TokenEndpoint
from whence_aggregator.mint.ports import ProviderNotReached, ProviderRefused, ProviderThrottled
from whence_aggregator.mint.values import (
    CredentialKind,
    GenerationId,
    KnownCredential,
    MadeCredential,
    WantedClient,
)
from whence_aggregator.ports import SourceUnavailable
from whence_common.clock import Now
from whence_common.errors import WhenceError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

CLIENT_CREDENTIALS = "client_credentials"
_URI, _TOKEN = "registration_client_uri", "registration_access_token"
_GONE = (401, 404, 410)
"""RFC 7592, 2: a client that does not exist is answered with 401; its registration access token ended with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationBounds:
    """How long a registered secret must live, so that it does not end before it is rotated."""

    secret_seconds_min: float


class RegisteredClients:
    """ProviderClients and ProviderCredentials by registration. The place's URL is the registration endpoint."""

    kinds: frozenset[CredentialKind] = frozenset({"client"})
    finds_lost = False
    has_client_per_generation = True

    def __init__(
        self, *, calls: SignedInCalls, tokens: TokenEndpoint, marks: SecretMarks, bounds: RegistrationBounds, now: Now
    ) -> None:
        self._signed_in = calls
        self._calls: ProviderHttp = calls.calls
        self._tokens = tokens
        self._marks = marks
        self._bounds = bounds
        self._now = now

    async def ensure(self, wanted: WantedClient) -> str:
        """Return the id that is known: there is no client but those of generations."""
        return wanted.client_id

    async def delete(self, wanted: WantedClient) -> None:
        """Do nothing: each client ends with its generation."""

    async def make(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential:
        name = generation.client_name
        try:
            answer = await self._signed_in.send("POST", "", _metadata(wanted, name))
        except (ProviderThrottled, ProviderNotReached):
            raise
        except (ProviderRefused, SourceUnavailable) as exc:
            if exc.code != "provider-login":
                self._note_orphan(name)
            raise
        if answer.status >= 300:
            raise self._calls.refusal("register a client", answer)
        try:
            return self._parsed(wanted, answer, name, current)
        except ProviderRefused:
            await self._removed(answer, name, current)
            raise

    async def recover(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential | None:
        self._note_orphan(generation.client_name)
        return None

    async def verify(self, wanted: WantedClient, made: MadeCredential) -> None:
        value = made.document["client_secret"]
        if value is not None:
            await self._tokens.check_client(made.document["client_id"] or "", value)

    async def commit(self, wanted: WantedClient, known: KnownCredential) -> None:
        """Do nothing: each client is valid until it is deleted."""

    async def end(self, wanted: WantedClient, known: KnownCredential, current: KnownCredential | None) -> None:
        uri, token = known.handle.get(_URI, ""), known.secret_handle.get(_TOKEN, "")
        if not uri and not token:
            return  # nothing is known of it: `recover` has stated the client that may be left
        if not uri or not token or not self._calls.place.is_own(uri):
            raise self._calls.refused(
                "provider-registration-unmanaged", f"cannot be asked to delete the client {known.id.client_name!r}",
                fix="delete it at the provider",
            )  # fmt: skip
        await self._delete(uri, token, known.id.client_name)

    async def _delete(self, uri: str, token: str, name: str) -> None:
        answer = await self._calls.send("DELETE", uri, headers=bearer(token), secrets=(token,))
        if answer.status == 401:
            log.info("a registered client is gone, or its token is no longer accepted", extra=self._fields(name))
        if answer.status >= 300 and answer.status not in _GONE:
            fix = "allow clients to be deleted (RFC 7592, 2.3), or delete this one at the provider"
            raise self._calls.refusal(f"delete the client {name!r}", answer, fix=fix)

    def _parsed(
        self, wanted: WantedClient, answer: ProviderAnswer, name: str, current: KnownCredential | None
    ) -> MadeCredential:
        """Return the registered client (RFC 7591, 3.2.1). Raises ProviderRefused."""
        document = members(self._calls, answer.document, "register a client")
        client_id = text_id(self._calls, document, "client_id")
        same_id(self._calls, document, "client_name", name)
        uri, token = self._management(document)
        known: Mapping[str, str] = current.handle if current is not None else {}
        if known.get("client_id") == client_id:
            raise repeated(self._calls, "client_id")
        handle = {"client_id": client_id, _URI: uri}
        value = None
        if wanted.is_confidential:
            value = secret(self._calls, document, "client_secret")
            handle["mark"] = self._marks.of(wanted.application_id, value)
            if known.get("mark") == handle["mark"]:
                raise repeated(self._calls, "secret")
            self._check_use(document)
        return MadeCredential(
            document={"client_id": client_id, "client_secret": value}, handle=handle, secret_handle={_TOKEN: token}
        )

    def _management(self, document: Mapping[str, Any]) -> tuple[str, str]:
        uri, token = document.get(_URI), document.get(_TOKEN)
        if not isinstance(uri, str) or not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._calls.refused(
                "provider-registration-unmanaged", "registers clients that cannot be deleted later",
                fix="enable the management of registered clients (RFC 7592)",
            )  # fmt: skip
        if not token or not self._calls.place.is_own(uri):
            raise self._calls.refused(
                "provider-registration-elsewhere", "names a URL of the registered client that is not on its own origin",
                fix="correct the provider's public URL, or the URL in the settings",
            )  # fmt: skip
        return uri, token

    def _check_use(self, document: Mapping[str, Any]) -> None:
        """Check what the provider registered, which may differ from what was requested. Raises ProviderRefused."""
        grants, method = document.get("grant_types"), document.get("token_endpoint_auth_method")
        if isinstance(grants, list) and CLIENT_CREDENTIALS not in grants:
            raise self._calls.refused(
                "provider-registration-other", "registers clients without the grant client_credentials",
                fix="allow that grant to registered clients",
            )  # fmt: skip
        if method not in (None, "client_secret_basic"):
            raise self._calls.refused(
                "provider-registration-other", "registers clients that do not authenticate by HTTP Basic",
                fix="allow client_secret_basic to registered clients",
            )  # fmt: skip
        ends = document.get("client_secret_expires_at", 0)
        if isinstance(ends, bool) or not isinstance(ends, int):
            raise self._calls.refused("provider-malformed", "answers without a usable client_secret_expires_at")
        if ends and ends - self._now().timestamp() < self._bounds.secret_seconds_min:
            raise self._calls.refused(
                "provider-secret-short-lived", "makes secrets that end before they are rotated",
                fix=f"let them live for {self._bounds.secret_seconds_min / 86_400:.0f} days, or rotate more often",
            )  # fmt: skip

    async def _removed(self, answer: ProviderAnswer, name: str, current: KnownCredential | None) -> None:
        """Delete a client that cannot be used. If that fails, or if it may be another client, it is stated as left."""
        document = answer.document if isinstance(answer.document, dict) else {}
        uri, token = document.get(_URI), document.get(_TOKEN)
        known: Mapping[str, str] = current.handle if current is not None else {}
        is_new = document.get("client_id") != known.get("client_id") and uri != known.get(_URI)
        try:
            if (
                is_new and document.get("client_name") == name and isinstance(uri, str) and isinstance(token, str)
                and token.isascii() and self._calls.place.is_own(uri)
            ):  # fmt: skip
                return await self._delete(uri, token, name)
        except WhenceError as exc:
            log.info("a client that cannot be used was not deleted", extra=self._fields(name, error=exc.code))
        self._note_orphan(name)
        return None

    def _note_orphan(self, name: str) -> None:
        log.warning("a registered client may be left at the provider: delete it there", extra=self._fields(name))

    def _fields(self, name: str, **more: str) -> dict[str, Any]:
        return fields(provider=self._calls.place.name, client_name=name, **more)


def _metadata(wanted: WantedClient, name: str) -> dict[str, Any]:
    """Return the client metadata (RFC 7591, 2)."""
    by_code = ["authorization_code"] if wanted.redirect_url else []
    grants = [*([CLIENT_CREDENTIALS] if wanted.is_confidential else []), *by_code]
    metadata: dict[str, Any] = {
        "client_name": name,
        "grant_types": grants,
        "response_types": ["code"] if by_code else [],
        "redirect_uris": [wanted.redirect_url] if wanted.redirect_url else [],
        "token_endpoint_auth_method": "client_secret_basic" if wanted.is_confidential else "none",
    }
    scopes = sorted({f"{one.resource_type_id}.{one.scope_id}" for one in wanted.scopes})
    return metadata | ({"scope": " ".join(scopes)} if scopes else {})
