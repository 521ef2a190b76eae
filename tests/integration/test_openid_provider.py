"""The server against an OpenID provider that others wrote: keys rotate while it runs, opaque tokens are revoked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.clocks import FakeClock
from fakes.openid_provider import AUDIENCE, Browser, OpenIdProvider, openid_provider
from fakes.terminal import Terminal
from whence_aggregator.callers.key_cache import FRESH_SECONDS_MIN, UNKNOWN_SECONDS
from whence_aggregator.callers.known import Callers
from whence_aggregator.callers.verified import KEPT_SECONDS
from whence_aggregator.http.server import Server
from whence_aggregator.http.sign_in import SignInCalls
from whence_aggregator.settings.server import parse_settings
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.parts import new_session
from whence_aggregator.wiring.sign_in import load_sign_in
from whence_common.clock import utc_now


@pytest.fixture(scope="module")
async def provider(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenIdProvider]:
    async with openid_provider(tmp_path_factory.mktemp("provider")) as running:
        await running.let_tokens_live(72_000)  # longer than any test advances the server's clock
        yield running


@dataclass
class House:
    """The server in this process, whose clocks a test moves."""

    url: str = ""
    clock: FakeClock = field(default_factory=FakeClock)
    seconds: float = 0.0

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.seconds += seconds


@asynccontextmanager
async def house_of(directory: Path, sign_in: dict[str, Any]) -> AsyncIterator[House]:
    house = House()
    house.clock.moment = utc_now()
    document = {
        "audience": AUDIENCE, "accounts": ["123456789012"], "sign_in": sign_in,
        "heartbeat_secret_file": str(directory / "heartbeat.secret"),
    }  # fmt: skip
    settings = parse_settings(json.dumps(document).encode(), name="aggregator.yaml")
    async with AsyncExitStack() as stack:
        database = await SqliteDatabase.open(directory / "ledger.db")
        stack.push_async_callback(database.close)
        session = await stack.enter_async_context(new_session())
        signing_in = load_sign_in(
            settings, database, Callers({}, now=house.clock), session, LiveLimits(settings.limits), stack,
            now=house.clock, clock=lambda: house.seconds,
        )  # fmt: skip
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = Server(
            routes=SignInCalls(signing_in.sign_in, signing_in.command_clients).routes(), sign_in=signing_in.sign_in,
            address="127.0.0.1", port=0, tls=None, listening=listening.set_result,
        )  # fmt: skip
        running = asyncio.create_task(server.run())
        try:
            house.url = f"http://127.0.0.1:{await listening}"
            yield house
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def home(directory: Path, name: str) -> Path:
    found = directory / name
    found.mkdir()
    return found


async def test_a_new_key_is_accepted_without_restart_and_a_removed_one_refused_when_the_cache_ages(
    tmp_path: Path, provider: OpenIdProvider
) -> None:
    async with house_of(tmp_path, provider.settings()) as house:
        early, late = (Terminal(house.url, home(tmp_path, name)) for name in ("early", "late"))
        assert (await early.sign_in(Browser("ada"))).code == 0
        await provider.rotate("two", keep=True)
        assert (await late.sign_in(Browser("bob"))).code == 0  # an unknown kid: one download, without restart
        assert ((await early.whoami())["name"], (await late.whoami())["name"]) == ("ada", "bob")

        await provider.rotate("three", keep=False)
        house.advance(KEPT_SECONDS)
        assert (await early.whoami())["name"] == "ada"  # the cached set has the removed key
        house.advance(max(FRESH_SECONDS_MIN, UNKNOWN_SECONDS) + 3600)
        kept = early.kept()
        ended = await early.run("whoami", environment={"WHENCE_TOKEN": kept["access_token"]})
        assert (ended.code, "the token's key (kid) is not in the key set" in ended.err) == (3, True), ended.told


async def test_a_token_of_a_removed_key_is_refreshed_when_the_server_refuses_it(
    tmp_path: Path, provider: OpenIdProvider
) -> None:
    async with house_of(tmp_path, provider.settings()) as house:
        ada = Terminal(house.url, home(tmp_path, "ada"))
        assert (await ada.sign_in(Browser("ada"))).code == 0
        first = ada.kept()
        await provider.rotate("four", keep=False)
        house.advance(UNKNOWN_SECONDS + 3600)
        before = await provider.asked("refresh_token")
        found = await asyncio.gather(*(ada.whoami() for _ in range(3)))
        assert [one["name"] for one in found] == ["ada"] * 3
        assert await provider.asked("refresh_token") == before + 1
        assert ada.kept()["access_token"] != first["access_token"]


async def test_an_opaque_token_is_accepted_by_introspection_and_refused_within_the_documented_time_of_its_revocation(
    tmp_path: Path, provider: OpenIdProvider
) -> None:
    assert KEPT_SECONDS == 60.0
    async with house_of(tmp_path, provider.introspection(tmp_path)) as house:
        ada = Terminal(house.url, home(tmp_path, "ada"))
        ended = await ada.sign_in(Browser("ada"))
        assert ended.code == 0, ended.told
        token = ada.kept()["access_token"]
        assert "." not in token
        assert ((await ada.whoami())["name"], (await ada.whoami())["teams"]) == ("ada", ["ada"])
        status, _ = await provider.request("/token/revocation", token=token, client_id="whence-cli")
        assert status == 200
        shown = {"WHENCE_TOKEN": token}
        house.advance(59)
        assert (await ada.run("whoami", environment=shown)).code == 0
        house.advance(1)
        ended = await ada.run("whoami", environment=shown)
        assert (ended.code, "unknown or expired" in ended.err) == (3, True), ended.told


async def test_a_refresh_token_is_not_accepted_as_api_token(tmp_path: Path, provider: OpenIdProvider) -> None:
    async with house_of(tmp_path, provider.introspection(tmp_path)) as house:
        ada = Terminal(house.url, home(tmp_path, "ada"))
        assert (await ada.sign_in(Browser("ada"))).code == 0
        ended = await ada.run("whoami", environment={"WHENCE_TOKEN": ada.kept()["refresh_token"]})
        assert ended.code == 3, ended.told


async def test_a_token_without_the_resource_is_refused_at_login_and_not_kept(
    tmp_path: Path, provider: OpenIdProvider
) -> None:
    async with house_of(tmp_path, provider.settings(resource="")) as house:
        ada = Terminal(house.url, home(tmp_path, "ada"))
        ended = await ada.sign_in(Browser("ada"))
        said = f"compare cli.resource, cli.scopes and audiences of {provider.issuer} in its sign_in"
        assert (ended.code, said in ended.err) == (3, True), ended.told
        assert list(ada.folder.glob("*.json")) == []


async def test_a_set_back_clock_of_this_machine_causes_a_refresh(tmp_path: Path, provider: OpenIdProvider) -> None:
    async with house_of(tmp_path, provider.settings()) as house:
        ada = Terminal(house.url, home(tmp_path, "ada"))
        assert (await ada.sign_in(Browser("ada"))).code == 0
        before = await provider.asked("refresh_token")
        ada.change(saved_at=time.time() + 7200, refresh_at=time.time() + 9000, expires_at=time.time() + 10_800)
        assert (await ada.whoami())["name"] == "ada"
        assert await provider.asked("refresh_token") == before + 1


async def test_where_to_sign_in_is_public_and_names_no_more_than_the_command_needs(
    tmp_path: Path, provider: OpenIdProvider
) -> None:
    async with (
        house_of(tmp_path, provider.settings()) as house,
        provider.session.get(f"{house.url}/v1/sign-in") as answer,
    ):
        assert (answer.status, await answer.json()) == (
            200,
            {
                "issuers": [
                    {
                        "issuer": provider.issuer, "client_id": "whence-cli", "scopes": ["openid", "offline_access"],
                        "resource": AUDIENCE, "prompt": "consent", "redirect_port": 0,
                    }
                ]
            },
        )  # fmt: skip
