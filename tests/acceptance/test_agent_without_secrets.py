"""An instance without any secret: its application gets a token for a token that AWS signs, on the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.aws_web_identity import WebIdentityOfRole
from fakes.counted_aws import CountedAws
from fakes.token_exchange import token_exchange
from landscape.aws import ACCOUNT
from landscape.programs import Aggregator
from landscape.stage import Stage, user_data
from landscape.whole import Landscape

ROLE = f"arn:aws:iam::{ACCOUNT}:role/app-greeter"
TOKENS = "tokens: {pay: [uid, pay.read]}\n"
CLIENT_ONLY = {"whence-generation": "0af1", "whence-files": "client.json"}


@dataclass(frozen=True)
class Federation:
    """A role that AWS signs tokens for, and a provider that trusts it."""

    role: WebIdentityOfRole
    aws: CountedAws
    issuer: str


@pytest.fixture
async def federation(scape: Landscape, tmp_path: Path) -> AsyncIterator[Federation]:
    async with (
        WebIdentityOfRole(role_arn=ROLE).serve() as role, CountedAws(scape.aws.url).serve() as aws,
        token_exchange(role, tmp_path) as issuer,
    ):  # fmt: skip
        role.install(aws)
        yield Federation(role, aws, issuer)


@pytest.fixture
async def source(scape: Landscape) -> str:
    return (await scape.build("without-secrets", "1.0", scm=scape.greeter_scm(0))).reference


async def test_without_a_bucket_an_application_gets_its_token(
    stage: Stage, shared_server: Aggregator, federation: Federation, source: str
) -> None:
    await stage.instance(user_data(source, f"{TOKENS}token_source: web-identity\n"))
    settings = {"aws_endpoint_url": federation.aws.url, "oauth_token_url": f"{federation.issuer}/token"}
    async with stage.agent(shared_server.url, **settings) as running:
        await running.until("ok")
        inside = await stage.run_inside("/bin/busybox", "sh", "-c", "cd /meta/credentials; ls; wc -c pay-token-secret")
    assert inside.split()[:2] == ["pay-token-secret", "pay-token-type"]
    assert int(inside.split()[2]) > 20
    assert "s3:GetObject" not in {one.name for one in federation.aws.calls}


async def test_a_client_without_a_user_is_stated_with_its_generation(
    stage: Stage, shared_server: Aggregator, scape: Landscape, source: str
) -> None:
    bucket = f"alone-stups-mint-{ACCOUNT}-eu-central-1"
    await scape.aws.put_credentials(bucket, "greeter", {})

    def put() -> None:
        s3 = scape.aws.client("s3")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        content = b'{"client_id": "c", "client_secret": "s3cret-s3cret"}'
        s3.put_object(Bucket=bucket, Key="greeter/client.json", Body=content, Metadata=CLIENT_ONLY)

    await asyncio.to_thread(put)
    await stage.instance(user_data(source, f"mint_bucket: {bucket}\n"))
    async with stage.agent(shared_server.url) as running:
        status = await running.until("ok")
        inside = await stage.run_inside("/bin/busybox", "ls", "/meta/credentials")
    assert inside.split() == ["client.json"]
    (stated,) = status["credentials"]["objects"]
    assert (stated["file"], stated["generation"]) == ("client.json", "0af1")
    assert stated["version_id"]
