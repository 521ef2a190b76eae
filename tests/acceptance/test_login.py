"""People sign in at the terminal: the real `whence`, a real aggregator, and an OpenID provider that others wrote."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.openid_provider import AUDIENCE, Browser, OpenIdProvider, openid_provider
from fakes.signing_authority import SigningAuthority
from fakes.terminal import Terminal
from landscape.processes import Ended
from landscape.programs import Aggregator, aggregator
from whence_common.runtime.pause import pause


@pytest.fixture(scope="module")
async def provider(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenIdProvider]:
    async with openid_provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
async def server(
    tmp_path_factory: pytest.TempPathFactory, provider: OpenIdProvider, authority: SigningAuthority
) -> AsyncIterator[Aggregator]:
    home = tmp_path_factory.mktemp("aggregator")
    pem = {"eu-central-1": authority.pem}
    async with aggregator(home, home, authority_pem=pem, sign_in=provider.settings()) as running:
        yield running


@pytest.fixture
def ada(tmp_path: Path, server: Aggregator) -> Terminal:
    home = tmp_path / "ada"
    home.mkdir()
    return Terminal(server.url, home)


def secrets_of(terminal: Terminal) -> list[str]:
    kept = terminal.kept()
    return [kept["access_token"], kept["refresh_token"]]


def assert_no_secret(ended: Ended, secrets: list[str]) -> None:
    assert not any(one in ended.told for one in secrets)


async def test_a_person_signs_in_by_browser_and_queries_until_signing_out(
    ada: Terminal, server: Aggregator, provider: OpenIdProvider
) -> None:
    ended = await ada.sign_in(Browser("ada"))
    assert (ended.code, ended.out) == (0, f"signed in at {server.url} as ada\n"), ended.told
    secrets = secrets_of(ada)
    assert_no_secret(ended, secrets)
    caller = await ada.whoami()
    assert (caller["name"], caller["issuer"], caller["teams"], caller["realm"]) == (
        "ada", provider.issuer, ["ada"], "people",
    )  # fmt: skip
    assert (await ada.run("instances")).told.endswith("0 in total\n")
    shown = await ada.run("whoami")
    assert (shown.code, shown.out.splitlines()[0]) == (0, "name        ada")
    ended = await ada.run("logout")
    assert (ended.code, ended.told) == (0, f"signed out at {server.url}\n")
    assert list(ada.folder.glob("*.json")) == []
    status, answer = await provider.request(
        "/token", grant_type="refresh_token", refresh_token=secrets[1], client_id="whence-cli"
    )
    assert (status, answer["error"]) == (400, "invalid_grant")
    ended = await ada.run("instances")
    assert (ended.code, "run whence login, or set WHENCE_TOKEN" in ended.err) == (3, True), ended.told
    log = server.process.log.read_text()
    assert not any(one in log for one in secrets)


async def test_a_person_signs_in_with_a_code_on_another_machine(ada: Terminal, server: Aggregator) -> None:
    running = await ada.begin("login")  # there is neither a screen nor BROWSER
    code = await running.prints(r"\n  ([A-Z]{4}-[A-Z]{4})\n")
    uri = await running.prints(r"open (http://\S+/device)\n")
    page = await Browser("bob").open_slowly(uri, user_code=code)
    assert "Sign-in Success" in page
    ended = await running.ends()
    assert (ended.code, ended.out) == (0, f"signed in at {server.url} as bob\n"), ended.told
    assert_no_secret(ended, secrets_of(ada))
    assert (await ada.whoami())["name"] == "bob"
    assert (await ada.run("apps")).code == 0


async def test_the_browser_that_the_environment_names_is_opened_and_may_take_its_time(
    ada: Terminal, tmp_path: Path
) -> None:
    opened, script = tmp_path / "opened", tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" >{opened}\nexec sleep 20 >/dev/null 2>&1\n')
    script.chmod(0o755)
    os.mkfifo(opened)
    running = await ada.begin("login", environment={"BROWSER": str(script)})
    await running.prints(r"(http://\S+/auth\?\S+)")
    async with asyncio.timeout(60):
        url = await asyncio.to_thread(opened.read_text)
    await Browser().open_slowly(url.strip())
    ended = await running.ends()
    assert ended.code == 0, ended.told


async def test_a_sign_in_that_the_person_aborts_ends_with_its_reason(ada: Terminal, provider: OpenIdProvider) -> None:
    running = await ada.begin("login", "--no-browser")
    url = await running.prints(r"(http://\S+/auth\?\S+)")
    browser = Browser()
    page = await browser.open_slowly(url, until=f"{provider.issuer}/interaction/")
    assert "The sign-in failed" in await browser.open_slowly(f"{page}/abort")
    ended = await running.ends()
    said = f"whence: {provider.issuer} refuses the sign-in: access_denied, End-User aborted interaction\n"
    assert (ended.code, ended.err.endswith(said)) == (3, True), ended.told
    assert list(ada.folder.glob("*.json")) == []


async def test_a_code_that_the_person_denies_ends_the_sign_in(ada: Terminal) -> None:
    running = await ada.begin("login", "--device")
    code = await running.prints(r"\n  ([A-Z]{4}-[A-Z]{4})\n")
    uri = await running.prints(r"open (http://\S+/device)\n")
    await Browser().open_slowly(uri, user_code=code, abort="yes")
    ended = await running.ends()
    said = "whence: the sign-in was denied in the browser (run whence login again)\n"
    assert (ended.code, ended.err.endswith(said)) == (3, True), ended.told


async def test_an_expired_token_is_refreshed_once_by_many_commands_at_once(
    ada: Terminal, provider: OpenIdProvider
) -> None:
    await ada.sign_in(Browser())
    first, before = ada.kept(), await provider.asked("refresh_token")
    ada.change(refresh_at=time.time() - 1)
    ended = await asyncio.gather(*(ada.run("instances") for _ in range(5)))
    assert [one.code for one in ended] == [0] * 5, [one.told for one in ended]
    assert await provider.asked("refresh_token") == before + 1
    second = ada.kept()
    assert first["access_token"] != second["access_token"]
    assert first["refresh_token"] != second["refresh_token"]
    ada.change(refresh_at=time.time() - 1)
    assert (await ada.run("instances")).code == 0
    assert await provider.asked("refresh_token") == before + 2


async def test_a_sign_in_that_the_provider_ended_is_removed(ada: Terminal, provider: OpenIdProvider) -> None:
    await ada.sign_in(Browser())
    kept = ada.kept()
    status, _ = await provider.request("/token/revocation", token=kept["refresh_token"], client_id="whence-cli")
    assert status == 200
    ada.change(refresh_at=time.time() - 1)
    ended = await ada.run("instances")
    said = f"whence: {provider.issuer} has ended the sign-in at {ada.url} (run whence login)\n"
    assert (ended.code, ended.told) == (3, said)
    assert list(ada.folder.glob("*.json")) == []


async def test_while_the_provider_is_down_a_token_is_used_until_it_expires(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    pem = {"eu-central-1": authority.pem}
    async with (
        openid_provider(tmp_path) as provider,
        aggregator(tmp_path, tmp_path, authority_pem=pem, sign_in=provider.settings()) as server,
    ):
        await while_the_provider_is_down(Terminal(server.url, tmp_path), provider)


async def while_the_provider_is_down(ada: Terminal, provider: OpenIdProvider) -> None:
    await ada.sign_in(Browser())
    assert (await ada.run("instances")).code == 0
    await provider.process.stop()
    ada.change(refresh_at=time.time() - 1)
    assert (await ada.run("instances")).code == 0
    ada.change(expires_at=time.time() - 1)
    ended = await ada.run("instances")
    assert (ended.code, "is unreachable" in ended.err) == (3, True), ended.told
    assert ada.kept()["refresh_token"]


async def test_a_sign_out_waits_for_a_refresh_and_removes_what_that_kept(ada: Terminal) -> None:
    await ada.sign_in(Browser())
    (lock,) = ada.folder.glob("*.lock")
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        running = await ada.begin("logout")
        async with asyncio.timeout(60):
            while not opens(running.process.pid, lock):
                await pause(0.05)
        ada.change(access_token="of-the-refresh")
    ended = await running.ends()
    assert (ended.code, list(ada.folder.glob("*.json"))) == (0, []), ended.told


def opens(process_id: int, file: Path) -> bool:
    """Return whether a process has a file open, as Linux shows it."""
    with suppress(OSError):
        return any(one.readlink() == file for one in Path(f"/proc/{process_id}/fd").iterdir())
    return False


async def test_a_token_of_the_environment_comes_first(ada: Terminal, server: Aggregator) -> None:
    await ada.sign_in(Browser())
    ended = await ada.run("whoami", environment={"WHENCE_TOKEN": server.token})
    assert ended.out.splitlines()[0] == "name        demo"
    token_file = ada.home / "token"
    token_file.write_text(server.token)
    ended = await ada.run("--token-file", str(token_file), "whoami", environment={"WHENCE_TOKEN": "wrong"})
    assert ended.out.splitlines()[0] == "name        demo"


async def test_two_profiles_keep_two_people_apart(ada: Terminal) -> None:
    await ada.sign_in(Browser("ada"))
    ada.environment["WHENCE_PROFILE"] = "work"
    await ada.sign_in(Browser("bob"))
    assert (await ada.whoami())["name"] == "bob"
    assert (await ada.run("logout")).code == 0
    assert (await ada.run("whoami")).code == 3
    del ada.environment["WHENCE_PROFILE"]
    assert (await ada.whoami())["name"] == "ada"


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda file: file.chmod(0o640), "is open to other users (mode 0640), and is not used"),
        (lambda file: file.parent.chmod(0o755), "is open to other users (mode 0755), and is not used"),
        (lambda file: file.rename(file.parent / "x") and file.symlink_to("x"), "is a symbolic link, and is not used"),
        (lambda file: (file.parent / "x").hardlink_to(file), "has a second name (hard link), and is not used"),
        (lambda file: file.write_text("{"), "is damaged, or of another version of whence"),
    ],
)
async def test_tokens_that_others_could_read_or_replace_are_not_used(ada: Terminal, spoil: object, said: str) -> None:
    assert callable(spoil)
    await ada.sign_in(Browser())
    secrets = secrets_of(ada)
    spoil(ada.file())
    ended = await ada.run("instances")
    assert (ended.code, said in ended.err) == (2, True), ended.told
    assert_no_secret(ended, secrets)


async def test_an_id_token_is_refused_as_api_token(server: Aggregator, provider: OpenIdProvider, ada: Terminal) -> None:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).decode().rstrip("=")
    request = (
        f"{provider.issuer}/auth?response_type=code&client_id=whence-cli&redirect_uri=http://127.0.0.1:1/callback"
        f"&scope=openid&code_challenge={challenge}&code_challenge_method=S256&state=s&nonce=n&resource={AUDIENCE}"
    )
    redirect = await Browser().open_slowly(request, until="http://127.0.0.1:1/callback")
    code = redirect.partition("code=")[2].partition("&")[0]
    status, tokens = await provider.request(
        "/token", grant_type="authorization_code", code=code, client_id="whence-cli", code_verifier="v" * 43,
        redirect_uri="http://127.0.0.1:1/callback", resource=AUDIENCE,
    )  # fmt: skip
    assert status == 200, tokens
    assert (await ada.run("whoami", environment={"WHENCE_TOKEN": tokens["access_token"]})).code == 0
    ended = await ada.run("whoami", environment={"WHENCE_TOKEN": tokens["id_token"]})
    assert (ended.code, "tokens of this type (typ) are not accepted" in ended.err) == (3, True), ended.told


async def test_a_server_without_an_issuer_for_people_is_reported(tmp_path: Path, authority: SigningAuthority) -> None:
    async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as alone:
        ended = await Terminal(alone.url, tmp_path).run("login")
    said = f"whence: {alone.url} has no issuer for people at the terminal (ask its operator"
    assert (ended.code, ended.err.startswith(said)) == (3, True), ended.told
