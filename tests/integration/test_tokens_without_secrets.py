"""Tokens of a provider that others wrote, for a token that AWS signs: an application with unmodified python-tokens."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.agent_world import Ticks
from fakes.aws_web_identity import WebIdentityOfRole
from fakes.clocks import FakeClock, a_day
from fakes.counted_aws import CountedAws
from fakes.object_store import FakeObjectStore
from fakes.openid_provider import CLIENTS
from fakes.token_exchange import token_exchange
from landscape.aws import ACCOUNT, REGION
from whence_agent.adapters.aws_http import SignedHttp
from whence_agent.adapters.oauth import OAuthIssuer
from whence_agent.adapters.role import GivenKeys
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.adapters.web_identity import StsWebIdentity
from whence_agent.credentials.generations import Generations
from whence_agent.credentials.keeper import CredentialKeeper, Revocation
from whence_agent.credentials.token_sources import TokenSources
from whence_agent.credentials.tokens import TokenKeeper
from whence_agent.ports import SecretUnavailable
from whence_agent.progress.progress import Progress
from whence_agent.redaction import Redactor
from whence_common.clock import utc_now
from whence_common.user_data.tokens import TokenSource

ROLE = f"arn:aws:iam::{ACCOUNT}:role/app-greeter"
GET = "import tokens; tokens.manage('pay', ['uid', 'pay.read']); print(tokens.get('pay'))"


@pytest.fixture(scope="module")
async def role() -> AsyncIterator[WebIdentityOfRole]:
    async with WebIdentityOfRole(role_arn=ROLE).serve() as serving:
        yield serving


@pytest.fixture(scope="module")
async def provider(role: WebIdentityOfRole, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with token_exchange(role, tmp_path_factory.mktemp("provider")) as issuer:
        yield issuer


@dataclass
class Instance:
    """The agent's part that keeps credentials, over a real provider, and what stands in for STS and S3."""

    directory: Path
    provider: str
    keeper: CredentialKeeper
    sources: TokenSources
    tokens: TokenKeeper
    issuer: OAuthIssuer

    def use(self, source: TokenSource) -> None:
        self.keeper.configure(None if source == "web-identity" else "mint", "greeter", ["pay"])
        self.tokens.configure({"pay": ("uid", "pay.read")})
        self.sources.configure(source, "greeter")

    async def application(self) -> str:
        """Return the token that an application gets by python-tokens."""
        environment = {"CREDENTIALS_DIR": str(self.directory / "credentials"), "PATH": os.environ["PATH"]}
        process = await asyncio.create_subprocess_exec(
            CLIENTS / "bin/python", "-c", GET, env=environment, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode().strip()

    async def introspected(self, token: str) -> dict[str, object]:
        """Return what the provider knows of a token."""
        login = {"Authorization": aiohttp.encode_basic_auth("minted", "s3cret-of-client")}
        async with (
            aiohttp.ClientSession(headers=login) as session,
            session.post(f"{self.provider}/token/introspection", data={"token": token}) as answer,
        ):
            found: dict[str, object] = await answer.json()
            return found


@pytest.fixture
async def instance(role: WebIdentityOfRole, provider: str, tmp_path: Path) -> AsyncIterator[Instance]:
    role.denied = role.disabled = False
    store, redactor = FakeObjectStore(), Redactor()
    client = {"client_id": "minted", "client_secret": "s3cret-of-client"}
    store.buckets["mint"] = {"greeter/client.json": json.dumps(client).encode()}
    store.metadata["greeter/client.json"] = {"whence-generation": "0a", "whence-files": "client.json"}
    progress = Progress(now=FakeClock(), monotonic=Ticks(), boot_id="b", started_at="")
    async with CountedAws("http://127.0.0.1:9").serve() as aws, aiohttp.ClientSession() as session:
        role.install(aws)
        http = SignedHttp(
            session=session, keys=GivenKeys(AwsKeys("AKIATEST", "test")), region=lambda: REGION, endpoint_url=aws.url,
            now=utc_now, up_seconds=a_day,
        )  # fmt: skip
        keeper = CredentialKeeper(
            store=store, generations=Generations(tmp_path, link="credentials", group=os.getegid()),
            progress=progress, redactor=redactor, revocation=Revocation(), poll_seconds=60.0, random=lambda: 0.5,
        )  # fmt: skip
        issuer = OAuthIssuer(session=session, url=f"{provider}/token")
        sources = TokenSources(
            issuer=issuer, web_identity=StsWebIdentity(http), audience=f"{provider}/token", keeper=keeper,
            redactor=redactor,
        )  # fmt: skip
        tokens = TokenKeeper(
            sources=sources, keeper=keeper, progress=progress, redactor=redactor, expired="keep", random=lambda: 0.5
        )
        yield Instance(tmp_path, provider, keeper, sources, tokens, issuer)
        keeper.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://another.example.org"},
        {"exp": 1},
        {"iss": "https://another.example.org"},
        {"sub": f"arn:aws:iam::{ACCOUNT}:role/app-other"},
    ],
)
async def test_the_provider_refuses_a_token_about_something_else(
    instance: Instance, role: WebIdentityOfRole, changes: dict[str, Any]
) -> None:
    subject = role.token(f"{instance.provider}/token", **changes)
    with pytest.raises(SecretUnavailable) as caught:
        await instance.issuer.exchange(subject, client_id="greeter", scopes=("uid",))
    assert (caught.value.code, caught.value.retryable) == ("token-refused", False)
    assert "invalid_grant" in caught.value.message


@pytest.mark.parametrize("client_id", ["minted", "nobody"])
async def test_a_client_that_may_not_exchange_is_refused(
    instance: Instance, role: WebIdentityOfRole, client_id: str
) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        await instance.issuer.exchange(role.token(f"{instance.provider}/token"), client_id=client_id, scopes=())
    assert caught.value.code == "token-refused"


async def test_a_role_that_may_not_have_tokens_leaves_no_file(instance: Instance, role: WebIdentityOfRole) -> None:
    role.denied = True
    instance.use("web-identity")
    await instance.tokens.refresh()
    assert "sts:IdentityTokenAudience" in instance.tokens.error
    assert not (instance.directory / "credentials").exists()


@pytest.mark.parametrize("source", ["client", "web-identity", "both"])
async def test_unmodified_python_tokens_gets_its_token(instance: Instance, source: TokenSource) -> None:
    instance.use(source)
    if source != "web-identity":
        await instance.keeper.poll()
    await instance.tokens.refresh()
    assert instance.tokens.error == ""
    found = await instance.introspected(await instance.application())
    client = "minted" if source == "client" else "greeter"
    assert (found["active"], found["client_id"], found["scope"]) == (True, client, "uid pay.read")
    files = {path.name for path in (instance.directory / "credentials").iterdir()}
    assert ("client.json" in files) == (source != "web-identity")


async def test_no_secret_lies_on_the_disk_of_an_instance_without_secrets(instance: Instance) -> None:
    instance.use("web-identity")
    await instance.tokens.refresh()
    names = {path.name for path in (instance.directory / "credentials").iterdir()}
    assert names == {"pay-token-type", "pay-token-secret"}
