"""Wiring of mint's providers of credentials, by the settings."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from whence_aggregator.adapters.mint.keycloak_admin import KeycloakAdmin
from whence_aggregator.adapters.mint.keycloak_clients import KeycloakBounds, KeycloakClients
from whence_aggregator.adapters.mint.provider_fields import SecretMarks
from whence_aggregator.adapters.mint.provider_http import ProviderHttp, ProviderPlace
from whence_aggregator.adapters.mint.provider_logins import (
    AnonymousTokens,
    BearerTokens,
    ClientTokens,
    FileTokens,
    SecretFile,
    SignedInCalls,
)
from whence_aggregator.adapters.mint.registered_clients import RegisteredClients, RegistrationBounds
from whence_aggregator.adapters.mint.stups_services import ServiceScopes, StupsServices, VerifyingClient
from whence_aggregator.adapters.mint.token_endpoint import TokenEndpoint
from whence_aggregator.mint.calls import MintProvider
from whence_aggregator.settings.mint import MintProviderSettings, MintSettings
from whence_aggregator.wiring.outgoing import Outgoing
from whence_common.clock import utc_now

_KEYCLOAK_RIGHTS = "the roles manage-clients and view-realm"


def load_providers(mint: MintSettings, secret: bytes, outgoing: Outgoing) -> Mapping[str, MintProvider]:
    """Return the providers by name. Raises SettingsInvalid."""
    marks = SecretMarks(hmac.digest(secret, b"whence mint marks", "sha256"))
    loading = _Loading(mint, marks, outgoing)
    return {name: loading.provider(name, one) for name, one in mint.providers.items()}


class _Loading:
    def __init__(self, mint: MintSettings, marks: SecretMarks, outgoing: Outgoing) -> None:
        self._mint = mint
        self._marks = marks
        self._outgoing = outgoing

    def provider(self, name: str, one: MintProviderSettings) -> MintProvider:
        made: StupsServices | RegisteredClients | KeycloakClients
        if one.type == "stups":
            made = self._stups(name, one)
        elif one.type == "registration":
            made = self._registration(name, one)
        else:
            made = self._keycloak(name, one)
        return MintProvider(clients=made, credentials=made)

    def _stups(self, name: str, one: MintProviderSettings) -> StupsServices:
        assert one.token_url is not None
        assert one.client_id is not None
        return StupsServices(
            calls=SignedInCalls(calls=self._http(name, one, one.url), tokens=_file_tokens(one)),
            tokens=TokenEndpoint(calls=self._http(name, one, one.token_url), form_encoded=False),
            verifying=VerifyingClient(client_id=one.client_id, secret=_file(one.client_secret_file)),
            scopes=ServiceScopes(realms={realm: frozenset(scopes) for realm, scopes in one.owner_scopes.items()}),
            marks=self._marks,
        )

    def _registration(self, name: str, one: MintProviderSettings) -> RegisteredClients:
        assert one.token_url is not None
        return RegisteredClients(
            calls=SignedInCalls(
                calls=self._http(name, one, one.url),
                tokens=_file_tokens(one) if one.token_file is not None else AnonymousTokens(),
            ),
            tokens=TokenEndpoint(calls=self._http(name, one, one.token_url)),
            marks=self._marks,
            bounds=RegistrationBounds(secret_seconds_min=self._secret_seconds),
            now=utc_now,
        )

    def _keycloak(self, name: str, one: MintProviderSettings) -> KeycloakClients:
        assert one.realm is not None
        assert one.client_id is not None
        calls = self._http(name, one, one.url)
        token_path = f"/realms/{quote(one.realm, safe='')}/protocol/openid-connect/token"
        token_url = one.token_url or one.url.rstrip("/") + token_path
        tokens = ClientTokens(
            calls=self._http(name, one, token_url), token_url=token_url, client_id=one.client_id,
            secret=_file(one.client_secret_file), rights=_KEYCLOAK_RIGHTS, seconds=time.monotonic,
        )  # fmt: skip
        return KeycloakClients(
            admin=KeycloakAdmin(calls=SignedInCalls(calls=calls, tokens=tokens), realm=one.realm),
            tokens=TokenEndpoint(calls=self._http(name, one, token_url)),
            marks=self._marks,
            bounds=KeycloakBounds(
                secret_seconds_min=self._secret_seconds, rotated_seconds_min=self._mint.poll_seconds_max
            ),
            now=utc_now,
        )

    @property
    def _secret_seconds(self) -> float:
        """Return how long a secret must live: until its successor is published, and its readers have that one."""
        return self._mint.client_seconds + self._mint.bound_seconds

    def _http(self, name: str, one: MintProviderSettings, url: str) -> ProviderHttp:
        place = ProviderPlace(name=name, base_url=url, private_addresses=one.private_addresses)
        return ProviderHttp(session=self._outgoing.session, lookup=self._outgoing.lookup, place=place, now=utc_now)


def _file(path: str | None) -> SecretFile:
    assert path is not None, "the settings were checked"
    return SecretFile(Path(path))


def _file_tokens(one: MintProviderSettings) -> BearerTokens:
    return FileTokens(_file(one.token_file))
