"""mint's circle with the program itself: an application is written, minted, and rotated again and again, while clients
that others wrote use what is in its bucket. S3 and STS are moto's, the provider is npm `oidc-provider`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.mint_house import found_secrets
from fakes.openid_provider import CLIENTS, OpenIdProvider, openid_provider
from fakes.signing_authority import SigningAuthority
from landscape.aws import ACCOUNT, REGION, Aws, moto_server
from landscape.endurance import repeated
from landscape.minting import mint_settings
from landscape.processes import Process, started
from landscape.programs import Aggregator, aggregator
from landscape.whole import ROOT
from whence_aggregator.ledger.log_reader import LogReader, Stored
from whence_aggregator.mint.bucket_safety import PUBLIC_ACCESS_BLOCKS
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.ledger_entry import type_of
from whence_common.runtime.pause import pause

BUCKET = f"acme-stups-mint-{ACCOUNT}-{REGION}"
KEY = "greeter/client.json"
APP = {
    "is_client_confidential": True,
    "redirect_url": "https://greeter.example.org/callback",
    "s3_buckets": [BUCKET],
    "scopes": [{"resource_type_id": "customer", "scope_id": "read_all"}],
}
BOUND_SECONDS = 600.0
LATER_SECONDS = BOUND_SECONDS + 61.0
"""After it a generation with a successor ends, whoever holds it; and what was asked for is not on its way any more."""
ROTATIONS = repeated(sample=5, whole=100)
WAIT_SECONDS_MAX = 60.0


@dataclass
class Application:
    """One process with an OAuth library that others wrote."""

    process: asyncio.subprocess.Process

    async def use(self, *, read: bool) -> dict[str, Any]:
        """Get tokens, with what is in the bucket now or with what was read last; return how that went."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"read\n" if read else b"use\n")
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            found: dict[str, Any] = json.loads(await self.process.stdout.readline() or b"{}")
        assert found.get("tokens") == 3, found
        assert found["refused"] == []
        return found


@asynccontextmanager
async def application(moto: Aws, provider: OpenIdProvider) -> AsyncIterator[Application]:
    script = ROOT / "tests" / "clients" / "client_credentials.py"
    environment = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
    process = await asyncio.create_subprocess_exec(
        CLIENTS / "bin" / "python", "-W", "ignore", script, BUCKET, KEY, f"{provider.issuer}/token", moto.url,
        env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Application(process)
    finally:
        process.kill()
        await process.wait()


async def make_bucket(moto: Aws) -> None:
    """Create the bucket as credentials require it."""

    def make() -> None:
        s3 = moto.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        s3.put_public_access_block(
            Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(PUBLIC_ACCESS_BLOCKS, True)
        )
        encrypted = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": encrypted})
        old = {
            "ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        }  # fmt: skip
        s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [old]})

    await asyncio.to_thread(make)


async def documents(moto: Aws) -> list[dict[str, str]]:
    """Return every version of client.json, the oldest first."""

    def read() -> list[dict[str, str]]:
        s3 = moto.client("s3")
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=KEY)
        versions = [one["VersionId"] for page in pages for one in page.get("Versions", [])]
        return [
            json.loads(s3.get_object(Bucket=BUCKET, Key=KEY, VersionId=one)["Body"].read()) for one in versions[::-1]
        ]

    return await asyncio.to_thread(read)


@dataclass
class Circle:
    """The program, whose clock is ahead by the seconds in a file, and what it works with."""

    program: Aggregator
    storage: str
    """URL below which mint's storage API is."""
    processes: tuple[Process, ...]
    moto: Aws
    provider: OpenIdProvider
    ahead: Path
    answers: list[bytes]

    async def get(self, path: str) -> Any:
        found = await self.program.get(path)
        self.answers.append(json.dumps(found).encode())
        return found

    async def stored(self, method: str, path: str, document: object = None) -> Any:
        """Ask the storage API; return the JSON value."""
        headers = {"Authorization": f"Bearer {self.program.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self.storage + path, json=document) as answer,
        ):
            self.answers.append(await answer.read())
            assert answer.status == 200, self.answers[-1]
            return json.loads(self.answers[-1] or b"null")

    async def current(self, other_than: str = "", during: Application | None = None) -> str:
        """Wait for another committed generation than one; `during` uses its credentials all the time."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                shown = await self.get("/v1/credentials/greeter")
                assert shown["problems"] == [], self.processes[-1].tail()
                newest = shown["generations"][-1] if shown["generations"] else {"phase": "", "generation": ""}
                if newest["phase"] == "committed" and newest["generation"] != other_than:
                    return str(newest["generation"])
                if during is not None:
                    await during.use(read=True)
                await pause(0.05)

    async def settled(self) -> str:
        """Wait until nothing is wrong any more; return the committed generation."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                shown = await self.get("/v1/credentials/greeter")
                newest = shown["generations"][-1]
                if newest["phase"] == "committed" and not shown["problems"]:
                    return str(newest["generation"])
                await pause(0.05)

    def pass_time(self) -> None:
        """Raise the clock; the programs never read a file that is half written."""
        next_one = self.ahead.with_suffix(".next")
        next_one.write_text(str(float(self.ahead.read_text(encoding="ascii")) + LATER_SECONDS), encoding="ascii")
        next_one.replace(self.ahead)


@asynccontextmanager
async def running(directory: Path, authority: SigningAuthority, *, alone: bool) -> AsyncIterator[Circle]:
    """Run everything; `alone`: mint is a program beside `serve`."""
    token, ahead = directory / "registration.token", directory / "ahead"
    token.write_text("registration-of-the-suite", encoding="ascii")
    token.chmod(0o600)
    ahead.write_text("0", encoding="ascii")
    clock = (sys.executable, str(ROOT / "tests" / "landscape" / "stepped_clock.py"), str(ahead))
    async with moto_server(directory) as moto, openid_provider(directory) as provider:
        await make_bucket(moto)
        mint = dict(
            mint_settings(
                directory, provider.issuer, bound_seconds=BOUND_SECONDS, poll_seconds_max=60.0, alone=alone,
                listen_port=0,
            )
        )  # fmt: skip
        mint["providers"]["issuer"]["token_file"] = str(token)
        mint["buckets"][0]["role"] = "arn:aws:iam::{account_id}:role/whence-mint"
        async with aggregator(
            directory, directory, authority_pem={"eu-central-1": authority.pem}, within=clock, mint=mint,
            aws_endpoint_url=moto.url,
        ) as program:  # fmt: skip
            if not alone:
                storage = f"{program.url}/mint"
                yield Circle(program, storage, (program.process,), moto, provider, ahead, [])
                return
            port = directory / "mint.port"

            async def ready() -> bool:
                return port.exists()

            command = [*clock, "whence-aggregator", "mint", "--config", program.config, "--port-file", port]
            async with started("mint", command, logs=directory, ready=ready) as process:
                storage = f"http://127.0.0.1:{port.read_text(encoding='ascii')}"
                yield Circle(program, storage, (program.process, process), moto, provider, ahead, [])


@pytest.fixture(params=[False, True], ids=["within serve", "alone"])
async def circle(
    tmp_path: Path, authority: SigningAuthority, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Circle]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    async with running(tmp_path, authority, alone=request.param) as opened:
        yield opened


@pytest.mark.endurance
async def test_clients_are_never_refused_while_their_credentials_are_rotated(circle: Circle) -> None:
    """One client reads the bucket each time; the other, as seldom as the settings allow."""
    assert await circle.program.put("/apps/greeter", {"team_id": "hello", "name": "Greeter", "active": True}) == 200
    await circle.stored("PUT", "/apps/greeter", APP)
    generation = await circle.current()
    async with application(circle.moto, circle.provider) as fast, application(circle.moto, circle.provider) as slow:
        used = [(await fast.use(read=True))["client_id"]]
        await slow.use(read=True)
        for _ in range(ROTATIONS):
            circle.pass_time()
            await slow.use(read=False)
            await circle.stored("POST", "/apps/greeter/renewal")
            generation = await circle.current(generation, fast)
            await slow.use(read=False)
            used.append((await fast.use(read=True))["client_id"])
            await slow.use(read=True)
    shown = await circle.get("/v1/credentials/greeter")
    live = [one for one in shown["generations"] if one["phase"] != "ended"]
    assert len(set(used)) == ROTATIONS + 1
    assert [one["client_id"] for one in live] == used[-2:]
    assert shown["client_id"] == used[-1]
    assert shown["possible_orphans"] == []
    await only_the_last_two_are_accepted(circle)
    await no_secret_is_kept(circle)


@pytest.mark.endurance
async def test_an_object_that_somebody_destroys_is_noticed_by_the_program_alone_and_written_again(
    tmp_path: Path, authority: SigningAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    async with running(tmp_path, authority, alone=True) as circle:
        assert await circle.program.put("/apps/greeter", {"team_id": "hello", "name": "Greeter", "active": True}) == 200
        await circle.stored("PUT", "/apps/greeter", APP)
        destroyed = await circle.current()
        (bucket,) = (await circle.get("/v1/credentials/greeter"))["generations"][-1]["buckets"]
        assert not bucket["looked_at"]
        s3 = circle.moto.client("s3")
        await asyncio.to_thread(s3.delete_object, Bucket=BUCKET, Key=KEY, VersionId=bucket["version_id"])
        for _ in range(round(MintRules().bucket_look_seconds * 1.1 // LATER_SECONDS) + 1):
            circle.pass_time()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not bucket["looked_at"]:
                await pause(0.05)
                (bucket,) = (await circle.get("/v1/credentials/greeter"))["generations"][-1]["buckets"]
            circle.pass_time()
            while len(await documents(circle.moto)) == 0:
                await pause(0.05)
        assert await circle.settled() != destroyed
        assert all([await process.stop() == 0 for process in circle.processes[::-1]])
        steps = [one for one in await credential_entries(circle) if one["step"] == "tampered"]
        assert [one["generation"] for one in steps] == [destroyed]
        assert steps[0]["reason"] == (
            f"bucket {BUCKET} has no object {KEY}; the version that mint wrote, {bucket['version_id']}, is gone"
        )


async def only_the_last_two_are_accepted(circle: Circle) -> None:
    made = await documents(circle.moto)
    assert len(made) == ROTATIONS + 1
    accepted = [
        (await circle.provider.request("/token", grant_type="client_credentials", **one))[0] == 200 for one in made
    ]
    assert accepted == [False] * (ROTATIONS - 1) + [True, True]


async def no_secret_is_kept(circle: Circle) -> None:
    """Look for every secret by its value in what is stored, logged, answered and recorded."""
    secrets = [one["client_secret"] for one in await documents(circle.moto)]
    for path in ("/v1/credentials", "/v1/credentials/greeter", "/v1/violations"):
        await circle.get(path)
    for path in ("/apps", "/apps/greeter"):
        await circle.stored("GET", path)
    for process in circle.processes[::-1]:
        assert await process.stop() == 0, process.tail()
    home = circle.program.config.parent
    stored = [one.read_bytes() for one in home.rglob("*") if one.is_file()]
    assert any(b"greeter" in one for one in stored)
    assert found_secrets(iter(stored), secrets) == []
    assert found_secrets((one.log.read_bytes() for one in circle.processes), secrets) == []
    assert found_secrets(iter(circle.answers), secrets) == []
    steps = [one["step"] for one in await credential_entries(circle)]
    assert steps.count("committed") == ROTATIONS + 1
    assert steps.count("ended") == ROTATIONS - 1
    assert found_secrets((one.content for one in await entries(circle) if one.content is not None), secrets) == []


async def entries(circle: Circle) -> list[Stored]:
    """Return the entries of the log of a program that has ended."""
    database = await SqliteDatabase.open(circle.program.config.parent / "ledger.db")
    reader = LogReader(database)
    found = [one async for one in reader.entries(0, await reader.size())]
    await database.close()
    return found


async def credential_entries(circle: Circle) -> list[dict[str, Any]]:
    found = [one for one in await entries(circle) if one.kind == "credential"]
    return [type_of(one.content)[2] for one in found if one.content is not None]
