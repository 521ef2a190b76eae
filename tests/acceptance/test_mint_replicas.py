"""Two `whence-aggregator mint` on one PostgreSQL, one of which is killed again and again while both rotate: each application
has a credential that works all the time, nothing is registered twice, and nobody is accused of what a replica wrote.

S3 and STS are moto's, the provider is npm `oidc-provider`. The clock of all programs is put ahead.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from acceptance.test_mint_circle import APP, BUCKET, make_bucket
from fakes.openid_provider import OpenIdProvider, openid_provider
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.endurance import WHOLE, repeated
from landscape.minting import mint_settings
from landscape.postgres import directory_for_many, postgres
from landscape.processes import Process, run, started
from landscape.programs import Aggregator, aggregator
from landscape.stepped_clock import step_clock
from landscape.whole import ROOT
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.work import UNDER_WAY_MAX
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.work.worker import LEASE_SECONDS
from whence_common.ledger_entry import type_of
from whence_common.runtime.pause import pause

APPLICATIONS = [f"app-{number}" for number in range(20)]
KILLS = repeated(sample=1, whole=20)
BOUND_SECONDS = 600.0
LATER_SECONDS = max(BOUND_SECONDS, LEASE_SECONDS) + 61.0
"""After it a generation with a successor ends, and the work of a replica that was killed is another's."""
LOOKS_SECONDS = MintRules().bucket_look_seconds * 1.1 + 61.0
WAIT_SECONDS_MAX = 60.0
_NAME = re.compile(r"(?P<application>[a-z0-9-]+) \(whence (?P<generation>[0-9a-f]{32})\)")


@dataclass
class Replicas:
    """`serve`, whose mint is alone, and two replicas of mint."""

    serve: Aggregator
    configs: Sequence[Path]
    clock: Sequence[str]
    environment: dict[str, str]
    moto: Aws
    provider: OpenIdProvider
    ahead: Path
    processes: dict[int, Process] = field(default_factory=dict)
    stacks: dict[int, AsyncExitStack] = field(default_factory=dict)
    session: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession)

    async def start(self, number: int) -> None:
        port, stack = self.configs[number].with_suffix(".port"), AsyncExitStack()
        port.unlink(missing_ok=True)

        async def ready() -> bool:
            return port.exists()

        command = [
            *self.clock, "whence-aggregator", "mint", "--config", self.configs[number], "--port-file", port
        ]  # fmt: skip
        self.processes[number] = await stack.enter_async_context(
            started(f"mint-{number}", command, logs=self.ahead.parent, ready=ready, environment=self.environment)
        )
        self.stacks[number] = stack

    async def kill(self, number: int) -> None:
        await self.processes[number].kill()
        await self.stacks.pop(number).aclose()

    async def close(self) -> None:
        for stack in self.stacks.values():
            await stack.aclose()
        await self.session.close()

    async def ask(self, method: str, path: str, document: object = None, *, of: int = 0) -> Any:
        """Ask the storage API of one of the replicas; return the JSON value."""
        port = self.configs[of].with_suffix(".port").read_text(encoding="ascii")
        headers = {"Authorization": f"Bearer {self.serve.token}"}
        url = f"http://127.0.0.1:{port}{path}"
        async with self.session.request(method, url, json=document, headers=headers) as answer:
            content = await answer.read()
            assert answer.status in (200, 202), content
            return json.loads(content or b"null")

    async def shown(self) -> list[dict[str, Any]]:
        return [await self.serve.get(f"/v1/credentials/{one}") for one in APPLICATIONS]

    async def all_committed(self, *, after: str = "") -> list[dict[str, Any]]:
        """Wait until the newest generation of every application is committed, and was later than a moment."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                shown = await self.shown()
                newest = [one["generations"][-1] if one["generations"] else {"phase": ""} for one in shown]
                if all(one["phase"] == "committed" and one["committed_at"] > after for one in newest):
                    return shown
                await self.each_is_accepted()

    async def each_is_accepted(self) -> None:
        """Use what is in the bucket now, as an application does that reads it for each token."""
        for document in await self.documents():
            status, answer = await self.provider.request("/token", grant_type="client_credentials", **document)
            assert status == 200, answer

    async def documents(self) -> list[dict[str, str]]:
        def read() -> list[dict[str, str]]:
            s3, found = self.moto.client("s3"), []
            for one in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
                found.append(json.loads(s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()))
            return found

        return await asyncio.to_thread(read)

    async def registered(self) -> list[tuple[str, str]]:
        """Return the application and the generation of each client that the provider has."""
        names = [_NAME.fullmatch(one or "") for one in (await self.provider.suite("clients"))["clients"]]
        return sorted((one["application"], one["generation"]) for one in names if one is not None)


@asynccontextmanager
async def replicas(directory: Path, home: Path, authority: SigningAuthority) -> AsyncIterator[Replicas]:
    token, ahead = directory / "registration.token", directory / "ahead"
    token.write_text("registration-of-the-suite", encoding="ascii")
    token.chmod(0o600)
    ahead.write_text("0", encoding="ascii")
    clock = (sys.executable, str(ROOT / "tests" / "landscape" / "stepped_clock.py"), str(ahead))
    async with (
        postgres(home, directory) as dsn, moto_server(directory) as moto, openid_provider(directory) as provider,
    ):  # fmt: skip
        await make_bucket(moto)
        mint = dict(
            mint_settings(
                directory,
                provider.issuer,
                alone=True,
                listen_port=0,
                bound_seconds=BOUND_SECONDS,
                poll_seconds_max=60.0,
            )
        )
        mint["providers"]["issuer"]["token_file"] = str(token)
        mint["buckets"][0]["role"] = "arn:aws:iam::{account_id}:role/whence-mint"
        async with aggregator(
            directory, directory, authority_pem={"eu-central-1": authority.pem}, within=clock, mint=mint, database=dsn,
            aws_endpoint_url=moto.url,
        ) as serve:  # fmt: skip
            stated, configs = json.loads(serve.config.read_text(encoding="utf-8")), []
            for number in range(2):
                config, checkpoint = directory / f"mint-{number}.yaml", directory / f"mint-{number}.checkpoint"
                shutil.copy(stated["checkpoint_file"], checkpoint)
                own = {**stated, "checkpoint_file": str(checkpoint)}
                config.write_text(json.dumps(own), encoding="utf-8")
                configs.append(config)
            both = Replicas(serve, configs, clock, {"WHENCE_DATABASE": dsn}, moto, provider, ahead)
            try:
                await both.start(0)
                await both.start(1)
                yield both
            finally:
                await both.close()


@pytest.fixture
def cluster() -> Iterator[Path]:
    """Give a directory for PostgreSQL: its user may not enter those of pytest."""
    home = directory_for_many()
    yield home
    shutil.rmtree(home)


@pytest.mark.endurance
async def test_two_replicas_rotate_while_one_is_killed_again_and_again(
    tmp_path: Path, cluster: Path, authority: SigningAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    async with replicas(tmp_path, cluster, authority) as both:
        for number, one in enumerate(APPLICATIONS):
            assert await both.serve.put(f"/apps/{one}", {"team_id": "hello", "name": one, "active": True}) == 200
            await both.ask("PUT", f"/apps/{one}", APP, of=number % 2)
        shown = await both.all_committed()
        for _ in range(KILLS):
            step_clock(both.ahead, LATER_SECONDS)
            for one in APPLICATIONS:
                await both.ask("POST", f"/apps/{one}/renewal")
            await some_are_begun(both, shown)
            await both.kill(1)
            await both.each_is_accepted()
            await both.start(1)
            step_clock(both.ahead, LATER_SECONDS)
            shown = await both.all_committed(after=max(one["generations"][-1]["committed_at"] for one in shown))
        step_clock(both.ahead, LOOKS_SECONDS)
        await all_are_looked_at(both)
        step_clock(both.ahead, LATER_SECONDS)
        await nothing_is_registered_twice(both)
        await the_log_is_one(both)


async def some_are_begun(both: Replicas, before: Sequence[dict[str, Any]]) -> None:
    """Wait until some applications are being rotated, so that a kill is in the middle."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await both.shown() == before:
            await pause(0.01)


async def all_are_looked_at(both: Replicas) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not all(one["generations"][-1]["buckets"][0]["looked_at"] for one in await both.shown()):
            await pause(0.1)


async def nothing_is_registered_twice(both: Replicas) -> None:
    """The provider has the clients of two generations of each application, and those that are listed as possible orphans."""
    shown = await both.all_committed()
    assert [one["problems"] for one in shown] == [[]] * len(APPLICATIONS)
    live = [
        (one["application_id"], generation["generation"])
        for one in shown
        for generation in one["generations"]
        if generation["phase"] != "ended"
    ]
    orphans = {(one["application_id"], orphan["generation"]) for one in shown for orphan in one["possible_orphans"]}
    registered = await both.registered()
    assert len(registered) == len(set(registered)), "one generation has two clients"
    assert sorted(set(registered) - orphans) == sorted(live)
    assert len(live) <= 2 * len(APPLICATIONS)
    assert len(orphans) <= KILLS * UNDER_WAY_MAX, "only what was on its way when a replica was killed"


async def the_log_is_one(both: Replicas) -> None:
    """Nobody is accused, no step of a generation is recorded twice, and the whole run checks the chain of hashes."""
    if WHOLE:  # a process more, which takes seconds
        program = Path(sys.executable).parent / "whence-aggregator"
        words = ("ledger", "check", "--config", both.configs[0])
        await run(program, *words, cwd=both.ahead.parent, environment=both.environment)
    database = await PostgresDatabase.open(both.environment["WHENCE_DATABASE"], "read")
    try:
        reader = LogReader(database)
        typed = [
            type_of(one.content)
            async for one in reader.entries(0, await reader.size())
            if one.kind == "credential" and one.content is not None
        ]
    finally:
        await database.close()
    steps = [(one["application_id"], one["generation"], one["step"]) for _, version, one in typed if version == 1]
    assert len(steps) == len(set(steps))
    assert {step for _, _, step in steps} == {"intended", "generated", "published", "committed", "ending", "ended"}
