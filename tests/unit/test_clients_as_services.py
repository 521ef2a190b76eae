"""A client that signed in as itself is a service, as each issuer states it: it approves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from whence_aggregator.callers.claim_mapping import ClaimMapping

PERSON = {"sub": "0b9e8f2a", "azp": "whence-cli", "groups": ["hello"]}


def realm(claims: dict[str, Any]) -> str:
    return ClaimMapping(rights=(), reads="organisation").caller("https://idp.example.org", claims, until=2e9).realm


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "ci", "client_id": "ci"},
        {"sub": "ci", "azp": "ci"},
        {"sub": "0oa1", "cid": "0oa1"},  # Okta
        {"sub": "0b9e8f2a", "azp": "ci", "preferred_username": "service-account-ci"},  # Keycloak
        {"sub": "ci", "azp": "other", "clientId": "ci"},  # Keycloak before release 23
        {"sub": "ci@clients", "azp": "ci", "gty": "client-credentials"},  # Auth0
        {"sub": "4f2c", "gty": ["client_credentials"]},  # FusionAuth
        {"sub": "4f2c", "oid": "4f2c", "azp": "9d1e", "roles": ["Write"]},  # Entra ID
        {"sub": "4f2c", "oid": "77aa", "appid": "9d1e", "idtyp": "app"},  # Entra ID, with the optional claim
        {"sub": "1093", "azp": "ci@p.iam.gserviceaccount.com", "email": "ci@p.iam.gserviceaccount.com"},  # Google
    ],
)
def test_a_client_that_signed_in_as_itself_is_a_service(claims: dict[str, Any]) -> None:
    assert realm(claims) == "services"


@pytest.mark.parametrize(
    "claims",
    [
        PERSON,
        {**PERSON, "preferred_username": "ada", "email": "ada@example.org"},
        {**PERSON, "oid": "77aa", "scp": "access", "idtyp": "user"},
        {**PERSON, "sub": "77aa", "oid": "77aa", "scp": "access"},
        {**PERSON, "gty": ["authorization_code", "refresh_token"]},
    ],
)
def test_a_person_who_signed_in_by_a_client_is_a_person(claims: dict[str, Any]) -> None:
    assert realm(claims) == "people"
