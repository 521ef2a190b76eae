"""Keycloak's admin API, as far as mint needs it: clients, their secrets, their optional scopes, client policies.

Source: Keycloak's "Admin REST API" (26). Raises ProviderRefused, ProviderThrottled, SourceUnavailable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from whence_aggregator.adapters.mint.keycloak_policy import RotationPolicy, rotation_policy
from whence_aggregator.adapters.mint.provider_fields import members, same_id, secret, text_id
from whence_aggregator.adapters.mint.provider_http import ANSWER_BYTES_MAX, ProviderAnswer, segment
from whence_aggregator.adapters.mint.provider_logins import SignedInCalls

_LIST_BYTES_MAX = 1024 * 1024
"""Of the realm's client scopes, which Keycloak lists whole."""
_CREATED, _CONFLICT, _GONE = 201, 409, 404
KeycloakDocument = dict[str, Any]


class KeycloakAdmin:
    """One realm. A client is a document as Keycloak represents it; its `id` names it in calls."""

    def __init__(self, *, calls: SignedInCalls, realm: str) -> None:
        self._signed_in = calls
        self.calls = calls.calls
        self._path = f"/admin/realms/{segment(realm)}"

    async def client(self, client_id: str) -> KeycloakDocument | None:
        answer = await self._good("GET", f"/clients?clientId={quote(client_id, safe='')}", "find a client")
        listed = self._list(answer)
        if not listed:
            return None
        if len(listed) > 1:
            raise self.calls.refused("provider-wrong-id", "answers with several clients for one clientId")
        same_id(self.calls, {"clientId": None} | listed[0], "clientId", client_id)
        text_id(self.calls, listed[0], "id")
        return listed[0]

    async def create(self, document: KeycloakDocument) -> None:
        """Create a client. One that exists is no error."""
        answer = await self._send("POST", "/clients", document)
        if answer.status not in (_CREATED, _CONFLICT):
            raise self.calls.refusal("create a client", answer)

    async def update(self, client: KeycloakDocument, *, secrets: Sequence[str] = ()) -> None:
        await self._good("PUT", _path(client), "update a client", client, secrets=secrets)

    async def remove(self, client: KeycloakDocument) -> None:
        await self._good("DELETE", _path(client), "delete a client", gone_is_good=True)

    async def secret(self, client: KeycloakDocument) -> str | None:
        """Return the current secret, which may be one that mint did not make; None without one."""
        return _text(await self._secret("GET", client, "/client-secret", "show a secret"))

    async def rotated(self, client: KeycloakDocument) -> str | None:
        """Return the secret before the current one, which is valid too; None without one."""
        return _text(await self._secret("GET", client, "/client-secret/rotated", "show a rotated secret"))

    async def regenerate(self, client: KeycloakDocument) -> str:
        found = await self._secret("POST", client, "/client-secret", "make a secret")
        if found is None:
            raise self.calls.refused("provider-client-unknown", "no longer has the client", fix="sync it again")
        return secret(self.calls, found, "value")

    async def remove_rotated(self, client: KeycloakDocument) -> None:
        await self._good("DELETE", f"{_path(client)}/client-secret/rotated", "end a secret", gone_is_good=True)

    async def scopes(self) -> Mapping[str, str]:
        """Return the ids of the realm's client scopes by their names."""
        answer = await self._good("GET", "/client-scopes", "list client scopes", bytes_max=_LIST_BYTES_MAX)
        return self._ids(answer)

    async def optional_scopes(self, client: KeycloakDocument) -> Mapping[str, str]:
        return self._ids(await self._good("GET", f"{_path(client)}/optional-client-scopes", "list scopes"))

    async def set_optional_scope(self, client: KeycloakDocument, scope_id: str, *, wanted: bool) -> None:
        path = f"{_path(client)}/optional-client-scopes/{segment(scope_id)}"
        await self._good("PUT" if wanted else "DELETE", path, "change a client's scopes", gone_is_good=not wanted)

    async def rotation_policy(self) -> RotationPolicy | None:
        profiles = await self._good("GET", "/client-policies/profiles", "show client profiles")
        policies = await self._good("GET", "/client-policies/policies", "show client policies")
        return rotation_policy(profiles.document, policies.document)

    async def _secret(self, method: str, client: KeycloakDocument, path: str, what: str) -> KeycloakDocument | None:
        answer = await self._send(method, _path(client) + path)
        if answer.status == _GONE:
            return None
        if answer.status >= 300:
            raise self.calls.refusal(what, answer)
        return members(self.calls, answer.document, what)

    async def _good(
        self, method: str, path: str, what: str, body: Any = None, *, secrets: Sequence[str] = (),
        gone_is_good: bool = False, bytes_max: int = ANSWER_BYTES_MAX,
    ) -> ProviderAnswer:  # fmt: skip
        answer = await self._send(method, path, body, secrets=secrets, bytes_max=bytes_max)
        if answer.status >= 300 and not (gone_is_good and answer.status == _GONE):
            raise self.calls.refusal(what, answer)
        return answer

    async def _send(
        self, method: str, path: str, body: Any = None, *, secrets: Sequence[str] = (),
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> ProviderAnswer:  # fmt: skip
        return await self._signed_in.send(method, self._path + path, body, secrets=secrets, bytes_max=bytes_max)

    def _list(self, answer: ProviderAnswer) -> list[KeycloakDocument]:
        found = answer.document
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self.calls.refused("provider-malformed", "answers without a list of objects")
        return found

    def _ids(self, answer: ProviderAnswer) -> Mapping[str, str]:
        return {str(one.get("name")): text_id(self.calls, one, "id") for one in self._list(answer)}


def _path(client: KeycloakDocument) -> str:
    return f"/clients/{segment(client['id'])}"


def _text(document: KeycloakDocument | None) -> str | None:
    value = document.get("value") if document is not None else None
    return value if isinstance(value, str) and value else None
