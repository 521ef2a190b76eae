"""mint's whole circle: the aggregator writes a bucket that KMS encrypts, the agent on the real engine picks up what it
finds there and states it, mint ends the old generation because of that, and an application with unmodified python-tokens
calls a service all the time. S3, KMS and STS are moto's, the provider is npm `oidc-provider`."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.calling_application import Application, Service, application
from fakes.metadata_service import MetadataService
from fakes.mint_house import found_secrets
from fakes.openid_provider import OpenIdProvider, openid_provider
from landscape.aws import ACCOUNT, REGION, Aws
from landscape.endurance import repeated
from landscape.minting import make_safe_bucket, mint_settings
from landscape.programs import Agent, AgentSettings, Aggregator, agent, aggregator
from landscape.stage import user_data
from landscape.stepped_clock import step_clock
from landscape.whole import ROOT, Landscape
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.mint.deciding import SUPERSEDED
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.clock import parse_instant
from whence_common.ledger_entry import type_of
from whence_common.runtime.pause import pause

BUCKET = f"circle-stups-mint-{ACCOUNT}-{REGION}"
KEY = "greeter/client.json"
APP = {
    "is_client_confidential": True,
    "redirect_url": "https://greeter.example.org/callback",
    "s3_buckets": [BUCKET],
    "scopes": [{"resource_type_id": "customer", "scope_id": "read_all"}],
}
USER_DATA = f"mint_bucket: {BUCKET}\ntokens: {{pay: [customer.read_all]}}\n"
ROTATIONS = repeated(sample=3, whole=100)
POLL_SECONDS, BOUND_SECONDS = 60.0, 86_400.0
LATER_SECONDS = 61.0
"""After it a generation may end that no instance uses; by the bound alone none ends in this test."""
READERS_SECONDS = 121.0
"""After it mint asks again who holds a generation, even if nothing else happens."""
WAIT_SECONDS_MAX = 60.0


@dataclass
class Circle:
    """Everything that takes part; the clocks of aggregator and agent are ahead by the seconds in a file."""

    scape: Landscape
    server: Aggregator
    provider: OpenIdProvider
    service: Service
    instance: MetadataService
    clock: tuple[str, ...]
    directory: Path
    kms_key: str
    answers: list[str] = field(default_factory=list)

    def pass_time(self, seconds: float) -> None:
        step_clock(Path(self.clock[-1]), seconds)

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        settings = AgentSettings(
            metadata_url=self.instance.url, aggregator_url=self.server.url, engine=self.scape.engine,
            aws_url=self.scape.aws.url, immutable_registries=(self.scape.registry,),
            extra={"oauth_token_url": f"{self.provider.issuer}/token", "credentials_poll_seconds": 0.5},
        )  # fmt: skip
        name, program = f"whence-test-{self.instance.instance_id}", (*self.clock, "whence-agent")
        try:
            async with agent(self.directory, self.scape.logs, settings, name=name, program=program) as running:
                yield running
        finally:
            await self.scape.remove_container(name)

    async def get(self, path: str) -> Any:
        found = await self.server.get(path)
        self.answers.append(json.dumps(found))
        return found

    async def stored(self, method: str, path: str, document: object = None) -> Any:
        """Ask the storage API; return the JSON value."""
        headers = {"Authorization": f"Bearer {self.server.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.server.url}/mint{path}", json=document) as answer,
        ):
            self.answers.append(await answer.text())
            assert answer.status == 200, self.answers[-1]
            return json.loads(self.answers[-1] or "null")

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the credentials are as wanted; return them."""
        shown: dict[str, Any] = {}
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while True:
                    shown = await self.get("/v1/credentials/greeter")
                    assert shown["problems"] == [], self.server.process.tail()
                    if wanted(shown):
                        return shown
                    await pause(0.05)
        except TimeoutError:
            raise AssertionError(f"the credentials remain {shown}; {self.server.process.tail()}") from None


def documents(aws: Aws, kms_key: str) -> list[dict[str, str]]:
    """Return every version of client.json, the oldest first; each is encrypted by the key."""
    s3, found = aws.client("s3"), []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=KEY):
        for one in page.get("Versions", []):
            version = s3.get_object(Bucket=BUCKET, Key=KEY, VersionId=one["VersionId"])
            assert (version["ServerSideEncryption"], version["SSEKMSKeyId"]) == ("aws:kms", kms_key)
            found.append(json.loads(version["Body"].read()))
    return found[::-1]


@pytest.fixture
async def circle(scape: Landscape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Circle]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    ahead, token = tmp_path / "ahead", tmp_path / "registration.token"
    step_clock(ahead, 0.0)
    token.write_text("registration-of-the-suite", encoding="ascii")
    token.chmod(0o600)
    clock = (sys.executable, str(ROOT / "tests" / "landscape" / "stepped_clock.py"), str(ahead))
    source = (await scape.build("circle", "1.0", scm=scape.greeter_scm(0))).reference
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(openid_provider(tmp_path))
        service = await stack.enter_async_context(Service(provider).serve())
        mint = mint_settings(
            tmp_path, provider.issuer, bound_seconds=BOUND_SECONDS, poll_seconds_max=POLL_SECONDS
        )  # fmt: skip
        mint["providers"]["issuer"]["token_file"] = str(token)
        mint["buckets"][0]["role"] = "arn:aws:iam::{account_id}:role/whence-mint"
        server = await stack.enter_async_context(
            aggregator(
                tmp_path, scape.logs, authority_pem=scape.authority_pem, registries=(scape.registry,),
                git_servers=(scape.sources.host,), within=clock, mint=mint, aws_endpoint_url=scape.aws.url,
                name="circle",
            )
        )  # fmt: skip
        instance = await stack.enter_async_context(scape.instance(user_data(source, USER_DATA).encode()))
        kms_key = await asyncio.to_thread(make_safe_bucket, scape.aws, BUCKET)
        yield Circle(scape, server, provider, service, instance, clock, tmp_path, kms_key)


@pytest.mark.endurance
async def test_no_call_is_refused_while_mint_and_the_agent_rotate_credentials(circle: Circle) -> None:
    assert await circle.server.put("/apps/greeter", {"team_id": "hello", "name": "Greeter", "active": True}) == 200
    await circle.stored("PUT", "/apps/greeter", APP)
    await circle.until(lambda one: has_new(one, ""))
    async with circle.agent() as running:
        await running.until("ok")
        async with application(circle.service, running.home / "meta" / "credentials") as app:
            generation = await picked_up(circle, running, app, after="")
            for _ in range(ROTATIONS):
                circle.pass_time(LATER_SECONDS)
                await circle.stored("POST", "/apps/greeter/renewal")
                generation = await picked_up(circle, running, app, after=generation)
            circle.pass_time(READERS_SECONDS)
            shown = await circle.until(lambda one: len(live(one)) == 1)
            told = await app.told()
        assert told["calls"] > 10 * ROTATIONS
        assert (shown["client_id"], shown["possible_orphans"]) == (told["client_id"], [])
        await only_the_last_is_accepted(circle)
        await no_secret_is_kept(circle, running)


def live(shown: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in shown["generations"] if one["phase"] != "ended"]


def has_new(shown: dict[str, Any], before: str) -> bool:
    made = shown["generations"]
    return bool(made) and made[-1]["phase"] == "committed" and made[-1]["generation"] != before


async def picked_up(circle: Circle, running: Agent, app: Application, *, after: str) -> str:
    """Wait until a new generation is committed, the agent has stated it, and the application uses it; return its id."""
    shown = await circle.until(lambda one: has_new(one, after) and one["generations"][-1]["readers"] == 1)
    newest = shown["generations"][-1]
    (instance,) = shown["instances"]
    assert instance["is_heard"]
    assert len(live(shown)) <= 2
    await app.until(newest["client_id"])
    _, status = await running.get("/status")
    (held,) = status["credentials"]["objects"]
    assert held["generation"] == newest["generation"]
    return str(held["generation"])


async def only_the_last_is_accepted(circle: Circle) -> None:
    made = await asyncio.to_thread(documents, circle.scape.aws, circle.kms_key)
    accepted = [
        (await circle.provider.request("/token", grant_type="client_credentials", **one))[0] == 200 for one in made
    ]
    assert accepted == [False] * ROTATIONS + [True]


async def no_secret_is_kept(circle: Circle, running: Agent) -> None:
    """Look for every secret by its value in what is stored, logged, answered, stated and recorded."""
    made = await asyncio.to_thread(documents, circle.scape.aws, circle.kms_key)
    secrets = [*(one["client_secret"] for one in made), *circle.service.presented]
    assert len(set(secrets)) >= 2 * (ROTATIONS + 1)
    for path in ("/v1/credentials", "/v1/credentials/greeter", "/v1/violations"):
        await circle.get(path)
    for path in ("/apps", "/apps/greeter"):
        await circle.stored("GET", path)
    shown = await circle.get(f"/v1/instances/{circle.instance.instance_id}")
    statements = [await circle.get(f"/v1/statements/{one['digest']}") for one in shown["statements"]]
    payloads = [base64.b64decode(one["payload"]) for one in statements]
    statuses = [str((await running.get(path))[1]) for path in ("/", "/status", "/metrics")]
    for process in (running.process, circle.server.process):
        assert await process.stop() == 0, process.tail()
    home = circle.server.config.parent
    kept = [one.read_bytes() for place in (home, running.home / "state") for one in place.rglob("*") if one.is_file()]
    logs = [one.log.read_bytes() for one in (running.process, circle.server.process)]
    said = [one.encode() for one in (*circle.answers, *statuses)]
    assert any(b"greeter" in one for one in kept)
    for texts in (kept, logs, said, payloads, await ledger(home)):
        assert texts
        assert found_secrets(iter(texts), secrets) == []


async def ledger(home: Path) -> Sequence[bytes]:
    """Return the contents of all entries; each old generation ended because its readers held the next one."""
    database = await SqliteDatabase.open(home / "ledger.db")
    reader = LogReader(database)
    entries = [one async for one in reader.entries(0, await reader.size())]
    await database.close()
    contents = [one.content for one in entries if one.content is not None]
    steps = [type_of(one.content)[2] for one in entries if one.kind == "credential" and one.content is not None]
    committed = [parse_instant(one["at"]) for one in steps if one["step"] == "committed"]
    ending = [one for one in steps if one["step"] == "ending"]
    assert len(committed) == ROTATIONS + 1
    assert [one["reason"] for one in ending] == [SUPERSEDED] * ROTATIONS
    for successor, one in zip(committed[1:], ending, strict=True):
        waited = (parse_instant(one["at"]) - successor).total_seconds()
        assert POLL_SECONDS <= waited < BOUND_SECONDS / 10, "not by the bound"
    return contents
