"""Clients in a realm of Keycloak: one for each application, whose clientId is the application's id.

A new secret leaves the one before it valid, as the rotated one, if the realm has a policy for it; so nothing is made
without one. Keycloak keeps these two and no more.

Before a secret is made, the client's attributes state for which generation, and a mark of the secret before; so a lost
answer is found, and a secret that mint did not make is never taken for one that it made.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from whence_aggregator.adapters.mint.keycloak_admin import KeycloakAdmin, KeycloakDocument
from whence_aggregator.adapters.mint.provider_fields import SecretMarks, repeated, secret
from whence_aggregator.adapters.mint.token_endpoint import TokenEndpoint
from whence_aggregator.mint.values import (
    CredentialKind,
    GenerationId,
    KnownCredential,
    MadeCredential,
    WantedClient,
)
from whence_common.clock import Now
from whence_common.errors import one_line
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

OWNED = "whence.application"
"""Attribute of a client that mint may change: its application's id. Others, as Keycloak's own, are never touched."""
_GENERATION, _BEFORE = "whence.generation", "whence.secret-before"
_ROTATED_UNTIL = "client.secret.rotated.expiration.time"
_SHOWN_MAX = 5
_POLICY_FIX = (
    "write a client policy with the executor secret-rotation and one of the conditions any-client or client-access-type"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeycloakBounds:
    """How long secrets must live by the realm's policy."""

    secret_seconds_min: float
    """Longer than the time between two rotations: an expired secret ends the one before it too."""
    rotated_seconds_min: float
    """Longer than the time until each instance has the new secret."""


class KeycloakClients:
    """ProviderClients and ProviderCredentials of a realm."""

    kinds: frozenset[CredentialKind] = frozenset({"client"})
    finds_lost = True
    has_client_per_generation = False

    def __init__(
        self, *, admin: KeycloakAdmin, tokens: TokenEndpoint, marks: SecretMarks, bounds: KeycloakBounds, now: Now
    ) -> None:
        self._admin = admin
        self._tokens = tokens
        self._marks = marks
        self._bounds = bounds
        self._now = now

    async def ensure(self, wanted: WantedClient) -> str:
        await self._ensured(wanted)
        return wanted.application_id

    async def delete(self, wanted: WantedClient) -> None:
        client = await self._owned(wanted)
        if client is not None:
            await self._admin.remove(client)

    async def make(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential:
        client = await self._owned(wanted) or await self._ensured(wanted)
        if not wanted.is_confidential:
            return MadeCredential(document={"client_id": wanted.application_id, "client_secret": None})
        lost = await self._lost(wanted, client, generation, current)
        if lost is not None:
            return lost  # a further one would end the current one
        await self._check_policy()
        await self._intend(wanted, client, generation, current)
        made = self._made(wanted, await self._admin.regenerate(client))
        if current is not None:
            if current.handle.get("mark") == made.handle["mark"]:
                raise repeated(self._admin.calls, "secret")
            if await self._admin.rotated(client) is None:
                log.error(
                    "Keycloak ended the secret before a new one at once: its policy for two secrets is not in force",
                    extra=fields(provider=self._admin.calls.place.name, application_id=wanted.application_id),
                )
        return made

    async def recover(
        self, wanted: WantedClient, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential | None:
        """Return the client's secret if it was made for the generation, by the call whose answer was lost."""
        client = await self._owned(wanted)
        return await self._lost(wanted, client, generation, current) if client is not None else None

    async def verify(self, wanted: WantedClient, made: MadeCredential) -> None:
        value = made.document["client_secret"]
        if value is not None:
            await self._tokens.check_client(made.document["client_id"] or "", value)

    async def commit(self, wanted: WantedClient, known: KnownCredential) -> None:
        """Do nothing: the rotated secret is valid until it is ended, or by its policy."""

    async def end(self, wanted: WantedClient, known: KnownCredential, current: KnownCredential | None) -> None:
        client, mark = await self._owned(wanted), known.handle.get("mark")
        if client is None or mark is None:
            return
        rotated = await self._admin.rotated(client)
        if rotated is not None and self._marks.of(wanted.application_id, rotated) == mark:
            await self._admin.remove_rotated(client)
            return
        newest = await self._admin.secret(client)
        if newest is None or self._marks.of(wanted.application_id, newest) != mark:
            return
        if rotated is not None and self._stays(wanted, client, rotated, current):
            await self._admin.update({**_changeable(client), "secret": rotated}, secrets=(rotated,))
        else:
            await self._admin.regenerate(client)  # the one to end is the rotated one now, and nobody knows the new one
        await self._admin.remove_rotated(client)

    def _stays(
        self, wanted: WantedClient, client: KeycloakDocument, rotated: str, current: KnownCredential | None
    ) -> bool:
        """Return whether the rotated secret is the one that stays: the current one, or one of before mint's first."""
        mark, attributes = self._marks.of(wanted.application_id, rotated), client["attributes"]
        if current is not None:
            return current.handle.get("mark") == mark
        until = str(attributes.get(_ROTATED_UNTIL, ""))
        is_valid = until.isascii() and until.isdigit() and int(until[:12]) > self._now().timestamp()
        return attributes.get(_BEFORE) == mark and is_valid

    async def _lost(
        self, wanted: WantedClient, client: KeycloakDocument, generation: GenerationId, current: KnownCredential | None
    ) -> MadeCredential | None:
        if client["attributes"].get(_GENERATION) != generation.generation:
            return None
        value = await self._admin.secret(client)
        known = current.handle.get("mark") if current is not None else None
        if value is None or self._marks.of(wanted.application_id, value) in (client["attributes"].get(_BEFORE), known):
            return None
        return self._made(wanted, secret(self._admin.calls, {"value": value}, "value"))

    async def _intend(
        self, wanted: WantedClient, client: KeycloakDocument, generation: GenerationId, current: KnownCredential | None
    ) -> None:
        """Note at the client for which generation a secret is made, and which secret it has before.

        If that is not the current one, as after an end that failed, the current one is set again: it would be lost.
        """
        before, changed = await self._admin.secret(client), dict[str, Any]()
        mark = self._marks.of(wanted.application_id, before) if before is not None else ""
        stays = current.handle.get("mark") if current is not None else None
        if stays is not None and mark != stays:
            rotated = await self._admin.rotated(client)
            if rotated is not None and self._marks.of(wanted.application_id, rotated) == stays:
                mark, changed = stays, {"secret": rotated}
        noted = {OWNED: wanted.application_id, _GENERATION: generation.generation, _BEFORE: mark}
        await self._admin.update(
            {**_changeable(client), "attributes": noted, **changed}, secrets=tuple(changed.values())
        )

    async def _ensured(self, wanted: WantedClient) -> KeycloakDocument:
        client = await self._owned(wanted)
        if client is None:
            await self._admin.create(_representation(wanted) | {"enabled": True, "fullScopeAllowed": False})
            client = await self._owned(wanted)
            if client is None:
                raise self._admin.calls.refused("provider-client-unknown", "does not list a client that it has created")
        changed = _changed(client, _representation(wanted))
        if changed:
            await self._admin.update(_changeable(client) | changed)
        await self._set_scopes(client, {f"{one.resource_type_id}.{one.scope_id}" for one in wanted.scopes})
        return client

    async def _set_scopes(self, client: KeycloakDocument, wanted: set[str]) -> None:
        """Give a client exactly the wanted optional scopes; its default scopes stay as they are."""
        has = await self._admin.optional_scopes(client)
        missing = wanted - set(has)
        known = await self._admin.scopes() if missing else {}
        unknown = sorted(missing - set(known))
        if unknown:
            shown = ", ".join(one_line(one, 80) for one in unknown[:_SHOWN_MAX])
            raise self._admin.calls.refused(
                "provider-scope-unknown",
                f"has no client scope {shown}",
                fix="create it in the realm, or remove it here",
            )
        for name in sorted(missing):
            await self._admin.set_optional_scope(client, known[name], wanted=True)
        for name in sorted(set(has) - wanted):
            await self._admin.set_optional_scope(client, has[name], wanted=False)

    async def _owned(self, wanted: WantedClient) -> KeycloakDocument | None:
        """Return the application's client. Raises ProviderRefused for one that mint may not change."""
        client = await self._admin.client(wanted.application_id)
        attributes = (client or {}).get("attributes")
        owner = attributes.get(OWNED) if isinstance(attributes, dict) else None
        if client is not None and owner != wanted.application_id:
            raise self._admin.calls.refused(
                "provider-client-foreign", f"has a client {wanted.application_id} that mint did not create",
                fix=f"if it is the application's, set its attribute {OWNED} to {wanted.application_id}",
            )  # fmt: skip
        return client

    async def _check_policy(self) -> None:
        policy = await self._admin.rotation_policy()
        if policy is None:
            raise self._admin.calls.refused(
                "provider-no-rotation-policy", "has no client policy in its realm that keeps two secrets valid",
                fix=f"enable the feature client-secret-rotation and {_POLICY_FIX}",
            )  # fmt: skip
        for name, stated, least in (
            ("rotated-expiration-period", policy.rotated_seconds, self._bounds.rotated_seconds_min),
            ("expiration-period", policy.secret_seconds, self._bounds.secret_seconds_min),
        ):
            if stated < least:
                raise self._admin.calls.refused(
                    "provider-rotation-policy-short",
                    f"has a client policy whose {name} of {stated} seconds ends secrets that are still used",
                    fix=f"set it to at least {least:.0f} seconds",
                )

    def _made(self, wanted: WantedClient, value: str) -> MadeCredential:
        client_id = wanted.application_id
        return MadeCredential(
            document={"client_id": client_id, "client_secret": value},
            handle={"client_id": client_id, "mark": self._marks.of(client_id, value)},
        )


def _representation(wanted: WantedClient) -> KeycloakDocument:
    """Return what mint decides of a client. Whether it is enabled is not among it: an operator may disable it."""
    return {
        "clientId": wanted.application_id,
        "name": wanted.name or wanted.application_id,
        "protocol": "openid-connect",
        "clientAuthenticatorType": "client-secret",
        "publicClient": not wanted.is_confidential,
        "serviceAccountsEnabled": wanted.is_confidential,
        "standardFlowEnabled": bool(wanted.redirect_url),
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "redirectUris": [wanted.redirect_url] if wanted.redirect_url else [],
        "attributes": {OWNED: wanted.application_id},
    }


def _changed(client: KeycloakDocument, wanted: KeycloakDocument) -> KeycloakDocument:
    """Return the members to change. The attributes are compared when the client is found, and stay."""
    members: dict[str, Any] = {name: value for name, value in wanted.items() if name != "attributes"}
    return {name: value for name, value in members.items() if client.get(name) != value}


def _changeable(client: KeycloakDocument) -> KeycloakDocument:
    """Return a client as it is written back: whole, since Keycloak resets some of what is missing.

    Its secrets are not among it: `attributes`, of which those that are missing stay, hold the rotated one.
    """
    kept = {name: value for name, value in client.items() if name not in ("access", "secret", "attributes")}
    return {**kept, "attributes": {OWNED: client["attributes"][OWNED]}}
