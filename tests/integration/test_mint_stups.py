"""Who writes credentials with tokens of STUPS: the realm, the scopes and the team decide, as in Zalando's mint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from fakes.people import People, people
from fakes.signing_authority import SigningAuthority
from landscape.minting import mint_settings
from landscape.programs import Aggregator, aggregator

APP = {"is_client_confidential": True, "s3_buckets": ["acme-stups-mint-123456789012-eu-west-1"]}
BY_TEAM, BY_NAME = ("ada", "minter"), ("worker",)
NOT = ("robot", "mute", "chief", "odd", "odd-worker", "other-worker")


@dataclass(frozen=True, slots=True)
class Stups:
    server: Aggregator
    services: People

    async def ask(self, person: str, method: str, path: str) -> int:
        """Return the status of a request with a person's token."""
        headers = {"Authorization": f"Bearer token-of-{person}"}
        body = APP if method == "PUT" else None
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.server.url}/mint/apps/{path}", json=body) as answer,
        ):
            return answer.status


@pytest.fixture(scope="module")
async def stups(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stups]:
    directory = tmp_path_factory.mktemp("stups")
    async with (
        people() as services,
        aggregator(
            directory, directory, authority_pem={"eu-central-1": authority.pem},
            sign_in={"tokeninfo_url": services.tokeninfo_url, "team_url": services.url},
            mint=mint_settings(directory, write_all=["worker", "chief", "odd", "odd-worker"]),
        ) as server,
    ):  # fmt: skip
        for name, team in (("of-alpha", "alpha"), ("of-beta", "beta")):
            assert await server.put(f"/apps/{name}", {"team_id": team, "name": name, "active": True}) == 200
            assert await server.put(f"/mint/apps/{name}", APP) == 200
        yield Stups(server, services)


@pytest.mark.parametrize("person", [*BY_TEAM, *BY_NAME])
async def test_the_team_and_the_named_service_write(stups: Stups, person: str) -> None:
    assert await stups.ask(person, "PUT", "of-alpha") == 200
    assert await stups.ask(person, "POST", "of-alpha/renewal") == 200
    assert await stups.ask(person, "PUT", "of-beta") == (200 if person in BY_NAME else 403)


@pytest.mark.parametrize("person", NOT)
async def test_who_lacks_the_scope_the_team_or_the_name_only_reads(stups: Stups, person: str) -> None:
    """`chief` may write all applications of Kio, and is named in the setting; the scope of credentials is another."""
    assert await stups.ask(person, "GET", "of-alpha") == 200
    for method, path in (("PUT", "of-alpha"), ("DELETE", "of-alpha"), ("POST", "of-alpha/renewal"), ("PUT", "of-beta")):
        assert await stups.ask(person, method, path) == 403, (method, path)


async def test_while_the_team_service_is_away_nobody_writes_for_a_team(stups: Stups) -> None:
    assert await stups.ask("minter", "GET", "of-alpha") == 200  # so the token itself is known
    stups.services.down = True
    try:
        for person in BY_TEAM:
            assert await stups.ask(person, "DELETE", "of-alpha") in (503, 403)
    finally:
        stups.services.down = False
    assert await stups.ask("ada", "GET", "of-alpha") == 200
