"""No secret of mint is in what an auditor, an operator or a caller gets: each is searched for by its value, in several
encodings, after rotations at two providers. S3 and STS are moto's, the program and the provider of clients are real."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from acceptance.test_mint_circle import APP, BUCKET, make_bucket
from fakes.auditor import dumped
from fakes.mint_house import found_secrets
from fakes.mint_stups import FakeStups
from fakes.openid_provider import openid_provider
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.minting import mint_settings
from landscape.programs import Aggregator, aggregator
from landscape.stepped_clock import step_clock
from landscape.whole import ROOT
from whence_aggregator.mint.key import MintKey
from whence_aggregator.mint.values import GenerationId
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.runtime.pause import pause

NAMES, PROVIDER_OF = ("greeter", "answerer"), {"greeter": "stups", "answerer": "issuer"}
KEY = b"k" * 32
REGISTRATION = "registration-of-the-suite"
LATER_SECONDS = 8_000.0
WAIT_SECONDS_MAX = 60.0
PATHS = (
    "/v1/credentials", "/v1/credentials/greeter", "/v1/credentials/answerer", "/mint/apps", "/mint/apps/greeter",
    "/mint/apps/answerer", "/v1/violations", "/v1/summary", "/v1/log/checkpoint", "/v1/log/keys", "/", "/health", "/ready",
    "/metrics", "/console/", "/apps/greeter", "/openapi.yaml",
)  # fmt: skip


@pytest.mark.endurance
async def test_no_secret_is_in_what_anybody_gets(
    tmp_path: Path, authority: SigningAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    ahead = tmp_path / "ahead"
    step_clock(ahead, 0.0)
    clock = (sys.executable, str(ROOT / "tests" / "landscape" / "stepped_clock.py"), str(ahead))
    async with (
        moto_server(tmp_path) as moto, openid_provider(tmp_path) as issuer, FakeStups().serve() as stups,
        aggregator(
            tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, within=clock, aws_endpoint_url=moto.url,
            mint=settings(tmp_path, stups, issuer.issuer),
        ) as server,
    ):  # fmt: skip
        await make_bucket(moto)
        for name in NAMES:
            assert await server.put(f"/apps/{name}", {"team_id": "hello", "name": name, "active": True}) == 200
            assert await server.put(f"/mint/apps/{name}", {**APP, "provider": PROVIDER_OF[name]}) == 200
        secrets, answers = {stups.token, stups.verifying[1], REGISTRATION, KEY.decode()}, list[bytes]()
        for number in range(3):
            await until_committed(server, generations=number)
            secrets |= {*(await published(moto)), *sealed(server)}
            answers += [await got(server, path) for path in PATHS]
            step_clock(ahead, LATER_SECONDS)
            for name in NAMES:
                assert (await server.whence("credentials", name, "renew", "--yes"))[0] in (0, 1)
        answers += [await printed(server, *words) for words in commands(tmp_path)]
        size = int((await got(server, "/v1/log/checkpoint")).split(b"\n")[1])
        answers += [await got(server, f"/v1/log/entries/{index}") for index in range(size)]
        token = server.token
        assert await server.process.stop() == 0
        database = await SqliteDatabase.open(server.config.parent / "ledger.db")
        answers.append(json.dumps(await dumped(database), default=str).encode())
        await database.close()
    answers += [one.read_bytes() for one in (server.process.log, *server.config.parent.glob("ledger.db*"))]
    answers.append((tmp_path / "evidence").read_bytes())
    assert len(secrets) >= 4 + 2 * 3 + 3, "passwords, secrets of clients, and registration access tokens"
    assert sum(b"greeter" in one for one in answers) > len(PATHS)
    assert found_secrets(iter(answers), [*encoded(secrets), token]) == []


def settings(directory: Path, stups: FakeStups, issuer: str) -> dict[str, Any]:
    files = {"stups.token": stups.token, "stups.secret": stups.verifying[1], "registration.token": REGISTRATION}
    for name, content in files.items():
        (directory / name).write_text(content, encoding="ascii")
        (directory / name).chmod(0o600)
    mint: dict[str, Any] = dict(
        mint_settings(directory, issuer, bound_seconds=900.0, default_provider="issuer"),
    )
    mint["providers"]["issuer"]["token_file"] = str(directory / "registration.token")
    mint["providers"]["stups"] = {
        "type": "stups", "url": stups.url, "token_url": f"{stups.url}/access_token", "private_addresses": True,
        "token_file": str(directory / "stups.token"), "client_id": stups.verifying[0],
        "client_secret_file": str(directory / "stups.secret"),
    }  # fmt: skip
    mint["buckets"][0]["role"] = "arn:aws:iam::{account_id}:role/whence-mint"
    return mint


def commands(directory: Path) -> Iterator[tuple[str, ...]]:
    yield ("credentials",)
    for name in NAMES:
        yield ("credentials", name)
        yield ("credentials", name, "--json")
    yield ("bundle", "--from", "2020-01-01", "--to", "2100-01-01", "--out", str(directory / "evidence"))


async def got(server: Aggregator, path: str) -> bytes:
    async with server.session() as session, session.get(server.url + path) as answer:
        assert answer.status in (200, 401, 404), path
        return await answer.read()


async def printed(server: Aggregator, *words: str) -> bytes:
    code, output = await server.whence(*words)
    assert code in (0, 1), output
    return output.encode()


async def until_committed(server: Aggregator, *, generations: int) -> None:
    """Wait until the newest generation of each kind is committed, and comes after as many others."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        for name, kinds in (("greeter", 2), ("answerer", 1)):
            while True:
                shown = await server.get(f"/v1/credentials/{name}")
                steps = [one for one in shown["generations"] if one["is_current"] and one["phase"] == "committed"]
                if len(steps) == kinds and len(await documents_of(server, name)) >= kinds * (generations + 1):
                    break
                await pause(0.1)


async def documents_of(server: Aggregator, name: str) -> list[str]:
    """Return the generations of an application that the log states to be committed."""
    with closing(sqlite3.connect(f"file:{server.config.parent}/ledger.db?mode=ro", uri=True)) as database:
        rows = database.execute(
            "select generation from credential where application_id = ? and committed_at <> ''", (name,)
        )
        return [row[0] for row in rows]


async def published(moto: Aws) -> set[str]:
    """Return every password and secret of a client in the bucket, old versions too."""

    def read() -> set[str]:
        s3, found = moto.client("s3"), set[str]()
        for one in s3.list_object_versions(Bucket=BUCKET)["Versions"]:
            body = s3.get_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
            document = json.loads(body)
            found.add(document.get("client_secret") or document["application_password"])
        return found

    return await asyncio.to_thread(read)


def sealed(server: Aggregator) -> set[str]:
    """Return what is stored sealed: tokens by which registered clients are managed."""
    key = MintKey(KEY, random_bytes=bytes)
    with closing(sqlite3.connect(f"file:{server.config.parent}/ledger.db?mode=ro", uri=True)) as database:
        rows = database.execute(
            "select application_id, kind, generation, sealed_handle from mint_generation where sealed_handle <> ''"
        ).fetchall()
    opened = [key.open(GenerationId(application_id=a, kind=k, generation=g), handle) for a, k, g, handle in rows]
    return {one["registration_access_token"] or "" for one in opened if "registration_access_token" in one}


def encoded(secrets: set[str]) -> Iterator[str]:
    for one in secrets:
        content = one.encode()
        yield from {
            one, urllib.parse.quote(one), base64.b64encode(content).decode().rstrip("="),
            base64.urlsafe_b64encode(content).decode().rstrip("="), content.hex(),
        }  # fmt: skip
