"""Git servers that want a sign-in: Basic, tokens, a GitHub App. Where the login may be seen, and where not."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fakes.github_api import GithubApi
from fakes.misbehaving import Answer, misbehaving
from fakes.roads import git_reader
from landscape.git_server import git_server
from landscape.images import sample_repository
from whence_aggregator.adapters.github_app import REVIEWS_AND_ISSUES, GithubAppLogins
from whence_aggregator.adapters.logins import FileLogins
from whence_aggregator.ports import SourceUnavailable
from whence_common.scm_source import SourceRepository
from whence_common.settings_file import SettingsInvalid

SECRET = "hunter2hunter2"


@dataclass
class Guard:
    """Lets `users` through by Basic; looks into every process of ours while git waits for the answer."""

    users: dict[str, str] = field(default_factory=lambda: {"robot": SECRET})
    shown: list[str] = field(default_factory=list)
    seen_in: list[str] = field(default_factory=list)
    status: int = 401

    def __call__(self, request: web.Request) -> web.Response | None:
        self.seen_in += [f"{one}" for one in _processes_with(SECRET.encode())]
        authorization = request.headers.get("Authorization", "")
        if authorization:
            self.shown.append(base64.b64decode(authorization.removeprefix("Basic ")).decode())
            name, _, password = self.shown[-1].partition(":")
            if password and self.users.get(name) == password:
                return None
        return web.Response(status=self.status, headers={"WWW-Authenticate": 'Basic realm="git"'})


def _processes_with(secret: bytes) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if secret in (place / name).read_bytes():
                    found.append(f"{place.name}/{name}")
            except OSError:
                continue
    return found


@dataclass(frozen=True)
class Place:
    host: str
    guard: Guard
    commit: str

    @property
    def repository(self) -> SourceRepository:
        return SourceRepository(host=self.host, path="acme/greeter")


@pytest.fixture(scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    directory = tmp_path_factory.mktemp("git")
    (directory / "acme").mkdir()
    _, commits = await sample_repository(directory / "acme")
    return directory, commits[0]


@asynccontextmanager
async def guarded(bare: tuple[Path, str]) -> AsyncIterator[Place]:
    guard = Guard()
    async with git_server(bare[0], guard=guard) as host:
        yield Place(host=host, guard=guard, commit=bare[1])


def logins(path: Path, host: str, content: bytes) -> FileLogins:
    path.write_bytes(content)
    return FileLogins(path=path, host=host, token_user="x-access-token", seconds=time.monotonic)


async def test_a_commit_is_read_behind_basic_and_the_login_is_in_no_argument_and_no_environment(
    bare: tuple[Path, str], tmp_path: Path
) -> None:
    async with guarded(bare) as place:
        reader = git_reader(place.host, logins=logins(tmp_path / "login", place.host, b"robot:" + SECRET.encode()))
        content = await reader.commit(place.repository, place.commit)
        assert content is not None
        assert b"DEMO-1" in content.content
        assert place.guard.shown
        assert place.guard.seen_in == []
        assert await reader.commit(place.repository, "0" * 40) is None
        reached = await reader.branch(place.repository, place.commit)
        assert (reached.branch, reached.reachable) == ("main", True)
        assert place.guard.seen_in == []


async def test_a_token_alone_is_shown_as_a_password(bare: tuple[Path, str], tmp_path: Path) -> None:
    async with guarded(bare) as place:
        place.guard.users = {"x-access-token": "ghp_" + SECRET}
        reader = git_reader(place.host, logins=logins(tmp_path / "token", place.host, b"ghp_" + SECRET.encode()))
        assert await reader.commit(place.repository, place.commit) is not None


async def test_a_wrong_login_is_shown_once_and_named_with_its_file(bare: tuple[Path, str], tmp_path: Path) -> None:
    async with guarded(bare) as place:
        reader = git_reader(place.host, logins=logins(tmp_path / "login", place.host, b"robot:hunter2-wrong"))
        for _ in range(3):
            with pytest.raises(SourceUnavailable) as caught:
                await reader.commit(place.repository, place.commit)
            assert caught.value.code == "sign-in-refused"
            assert place.host in caught.value.message
            assert str(tmp_path / "login") in caught.value.message
            assert "hunter2" not in caught.value.diagnostics()
        assert place.guard.shown == ["robot:hunter2-wrong"]
        (tmp_path / "login").write_bytes(b"robot:" + SECRET.encode())
        assert await reader.commit(place.repository, place.commit) is not None


async def test_a_server_that_requires_a_login_without_one_configured_is_named(bare: tuple[Path, str]) -> None:
    async with guarded(bare) as place:
        with pytest.raises(SourceUnavailable) as caught:
            await git_reader(place.host).commit(place.repository, place.commit)
        assert (caught.value.code, place.host in caught.value.fix) == ("sign-in-needed", True)


async def test_a_repository_that_a_login_may_not_read_condemns_no_other(bare: tuple[Path, str], tmp_path: Path) -> None:
    async with guarded(bare) as place:
        reader = git_reader(place.host, logins=logins(tmp_path / "login", place.host, b"robot:" + SECRET.encode()))
        place.guard.status, place.guard.users = 403, {}
        with pytest.raises(SourceUnavailable) as caught:
            await reader.commit(place.repository, place.commit)
        assert caught.value.code == "git-denied"
        place.guard.status, place.guard.users = 401, {"robot": SECRET}
        assert await reader.commit(place.repository, place.commit) is not None


async def test_a_login_does_not_go_where_a_git_server_redirects_to(bare: tuple[Path, str], tmp_path: Path) -> None:
    async with guarded(bare) as thief:
        target = f"http://{thief.host}/acme/greeter.git/info/refs?service=git-upload-pack"
        async with misbehaving(Answer(status=302, headers={"Location": target})) as host:
            reader = git_reader(host, logins=logins(tmp_path / "login", host, b"robot:" + SECRET.encode()))
            with pytest.raises(SourceUnavailable):
                await reader.commit(SourceRepository(host=host, path="acme/greeter"), thief.commit)
        assert thief.guard.shown == []


# --- GitHub App


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def written(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Path:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


@dataclass
class App:
    logins: GithubAppLogins
    api: GithubApi
    now: list[datetime]


@pytest.fixture
async def app(session: aiohttp.ClientSession, key: rsa.RSAPrivateKey, tmp_path: Path) -> AsyncIterator[App]:
    now = [datetime(2026, 11, 25, 12, tzinfo=UTC)]
    api = GithubApi(app_id="12345", key=key.public_key(), now=lambda: now[0], installations={"acme": 7, "other": 8})
    async with api.serve():
        made = GithubAppLogins(
            session=session, host="github.example.org", app_id="12345", key_file=written(tmp_path / "app.pem", key),
            api_url=api.url, installation_id=None, now=lambda: now[0],
        )  # fmt: skip
        yield App(logins=made, api=api, now=now)


@pytest.mark.parametrize("granted", [REVIEWS_AND_ISSUES, ("contents",)])
async def test_a_token_for_reviews_may_read_them_and_nothing_is_written(
    granted: tuple[str, ...], session: aiohttp.ClientSession, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    api = GithubApi(app_id="1", key=key.public_key(), now=lambda: now, installations={"acme": 7}, permissions=granted)
    async with api.serve():
        logins = GithubAppLogins(
            session=session, host="github.example.org", app_id="1", key_file=written(tmp_path / "app.pem", key),
            api_url=api.url, installation_id=None, now=lambda: now, permissions=REVIEWS_AND_ISSUES,
        )  # fmt: skip
        if granted == REVIEWS_AND_ISSUES:
            assert (await logins.login("acme/app")) is not None
        else:
            with pytest.raises(SourceUnavailable, match="HTTP 422"):
                await logins.login("acme/app")


async def test_an_app_gets_a_token_for_each_owner_and_a_new_one_before_it_expires(app: App) -> None:
    app.logins.check()
    first = await app.logins.login("acme/app")
    assert first is not None
    assert (first.username, first.password) == ("x-access-token", app.api.tokens[0])
    assert await app.logins.login("acme/other") is first
    other = await app.logins.login("other/app")
    assert other is not None
    assert other.password == app.api.tokens[1]
    app.now[0] += timedelta(minutes=54)
    assert await app.logins.login("acme/app") is first
    app.now[0] += timedelta(minutes=2)
    renewed = await app.logins.login("acme/app")
    assert renewed is not None
    assert renewed.password == app.api.tokens[2]
    assert app.api.asked.count("/repos/acme/app/installation") == 1
    assert app.api.tokens[0] not in repr(first)


async def test_an_app_reads_a_commit(app: App, bare: tuple[Path, str]) -> None:
    async with guarded(bare) as place:
        reader = git_reader(place.host, logins=app.logins)
        place.guard.users = {}
        with pytest.raises(SourceUnavailable) as caught:
            await reader.commit(place.repository, place.commit)
        assert caught.value.code == "sign-in-refused"
        login = await app.logins.login("acme/greeter")
        assert login is not None
        place.guard.users = {"x-access-token": login.password}
        assert await reader.commit(place.repository, place.commit) is not None


async def test_an_app_that_is_not_installed_or_unknown_is_reported(app: App, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await app.logins.login("nobody/app")
    assert (caught.value.code, "404" in caught.value.message) == ("github-app-refused", True)
    written(tmp_path / "app.pem", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    with pytest.raises(SourceUnavailable) as caught:
        await app.logins.login("acme/app")
    assert "401" in caught.value.message
    assert str(tmp_path / "app.pem") in caught.value.fix


@pytest.mark.parametrize(
    "content", [None, b"", b"no key", b"ec"], ids=["absent", "empty", "no key", "another kind of key"]
)
async def test_an_invalid_key_is_reported_at_the_start(
    session: aiohttp.ClientSession, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "app.pem"
    if content == b"ec":
        written(file, ec.generate_private_key(ec.SECP256R1()))
    elif content is not None:
        file.write_bytes(content)
    made = GithubAppLogins(
        session=session, host="github.com", app_id="1", key_file=file, api_url="http://127.0.0.1:1",
        installation_id="7", now=lambda: datetime.now(UTC),
    )  # fmt: skip
    with pytest.raises(SettingsInvalid) as caught:
        made.check()
    assert str(file) in caught.value.message


@pytest.mark.parametrize(
    "answer",
    [Answer(status=500), Answer(status=201, body=b"[]"), Answer(status=201, body=b'{"token": "a b\\n"}'),
     Answer(status=201, body=b'{"token": "ghs_x", "expires_at": "soon"}'), Answer(status=302), Answer(endless=True, status=201)],
)  # fmt: skip
async def test_a_server_that_is_not_the_api_is_unavailable(
    session: aiohttp.ClientSession, key: rsa.RSAPrivateKey, tmp_path: Path, answer: Answer
) -> None:
    async with misbehaving(answer) as host:
        made = GithubAppLogins(
            session=session, host="github.com", app_id="1", key_file=written(tmp_path / "app.pem", key),
            api_url=f"http://{host}", installation_id="7", now=lambda: datetime.now(UTC),
        )  # fmt: skip
        with pytest.raises(SourceUnavailable) as caught:
            await made.login("acme/app")
    assert caught.value.code == "github-app-refused"


def test_nothing_of_this_is_in_our_own_environment() -> None:
    assert SECRET not in "".join(os.environ.values())
