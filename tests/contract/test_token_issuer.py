"""What credentials may rely on in whoever issues tokens: an OAuth endpoint over HTTP, and the fake of other tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from fakes.agent_world import FakeIssuer
from fakes.misbehaving import Answer, misbehaving
from landscape.processes import free_port
from whence_agent.adapters.oauth import OAuthIssuer
from whence_agent.ports import SecretUnavailable, TokenIssuer

USER = {"application_username": "u", "application_password": "hunter2hunter2"}
CLIENT = {"client_id": "c", "client_secret": "s3cret-s3cret"}


@dataclass
class Issuers:
    """One that issues tokens for 100 seconds, one that refuses for good, and one that does not answer."""

    issuing: TokenIssuer
    refusing: TokenIssuer
    away: TokenIssuer


@pytest.fixture(params=["oauth", "fake"])
async def issuers(request: pytest.FixtureRequest) -> AsyncIterator[Issuers]:
    if request.param == "fake":
        refused = SecretUnavailable("token-refused", "the token endpoint refuses: invalid_client", retryable=False)
        nobody = SecretUnavailable("token-unreachable", "the token endpoint cannot be reached")
        yield Issuers(FakeIssuer(expires_seconds=100), FakeIssuer(fail_with=[refused]), FakeIssuer(fail_with=[nobody]))
        return
    token = Answer(body=b'{"access_token": "s3cret-token", "expires_in": 100, "token_type": "Bearer"}', headers=JSON)
    refusal = Answer(status=401, body=b'{"error": "invalid_client"}', headers=JSON)
    async with (
        misbehaving(token) as issuing, misbehaving(refusal) as refusing, aiohttp.ClientSession() as session,
    ):  # fmt: skip
        hosts = (issuing, refusing, f"127.0.0.1:{free_port()}")
        yield Issuers(*(OAuthIssuer(session=session, url=f"http://{host}/token") for host in hosts))


JSON = {"Content-Type": "application/json"}


async def test_both_grants_return_a_token_with_its_time(issuers: Issuers) -> None:
    user = await issuers.issuing.password_grant(USER, CLIENT)
    client = await issuers.issuing.client_credentials(CLIENT, ("uid",))
    assert [one.expires_seconds for one in (user, client)] == [100, 100]
    assert user.token
    assert user.token not in repr(user), "a token is not shown"


async def test_a_refusal_is_final_and_an_endpoint_that_is_away_is_not(issuers: Issuers) -> None:
    for issuer, retryable in ((issuers.refusing, False), (issuers.away, True)):
        with pytest.raises(SecretUnavailable) as caught:
            await issuer.client_credentials(CLIENT, ("uid",))
        assert caught.value.retryable is retryable
