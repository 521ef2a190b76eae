"""The kept tokens of `whence login`: when they are refreshed, by whom, and which files are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from whence_aggregator.openid.metadata import SignInClient
from whence_aggregator.openid.refusals import OAuthRefused, ProviderUnreachable
from whence_aggregator.openid.tokens import Tokens
from whence_aggregator.whence.connection import server_of
from whence_aggregator.whence.login.cache import TerminalSession, TokenCache, folder_of
from whence_aggregator.whence.login.session import SignedIn, is_due, is_expired, new_session, refreshed
from whence_common.errors import InputError, RoadError, WhenceError

SERVER = "https://whence.example.org"
CLIENT = SignInClient(issuer="https://login.example.org", client_id="cli", scopes=("openid",))
NOW = 1_800_000_000.0


def tokens(number: int = 1, *, refresh: bool = True, valid_seconds: float | None = 3600.0) -> Tokens:
    return Tokens(
        access_token=f"s3cret-access-{number}", refresh_token=f"s3cret-refresh-{number}" if refresh else None,
        id_token=None, valid_seconds=valid_seconds,
    )  # fmt: skip


class Person:
    """Someone who signed in, with a provider that rotates refresh tokens and ends the sign-in at reuse."""

    def __init__(self, directory: Path, first: Tokens | None = None) -> None:
        self.now = NOW
        self.paused = 0.0
        self.valid = "s3cret-refresh-1"
        self.refreshes = 0
        self.fails: RoadError | None = None
        self.rotates = True
        self.cache = self.another_cache(directory / "tokens")
        self.signed_in = SignedIn(self.cache, self, now=lambda: self.now)
        if first is not None:
            self.cache.write(new_session(SERVER, CLIENT, first, now=NOW))

    def another_cache(self, folder: Path) -> TokenCache:
        return TokenCache(folder, SERVER, "default", pause=self._pause, clock=lambda: self.paused)

    def _pause(self, seconds: float) -> None:
        self.paused += seconds

    def refresh(self, session: TerminalSession) -> Tokens:
        if self.fails is not None:
            raise self.fails
        if session.refresh_token != self.valid:
            self.valid = "none: the family is revoked"
            raise OAuthRefused(CLIENT.issuer, "invalid_grant")
        self.refreshes += 1
        fresh = tokens(self.refreshes + 1, refresh=self.rotates)
        self.valid = fresh.refresh_token or self.valid
        return fresh


def test_a_token_is_refreshed_a_minute_before_it_expires(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    ada.now = NOW + 3539
    assert (ada.signed_in.current(), ada.refreshes) == ("s3cret-access-1", 0)
    ada.now = NOW + 3540
    assert (ada.signed_in.current(), ada.refreshes) == ("s3cret-access-2", 1)
    assert (ada.signed_in.current(), ada.refreshes) == ("s3cret-access-2", 1)


@pytest.mark.parametrize(
    "valid, after, due, expired",
    [
        (3600.0, 0, False, False),
        (3600.0, 3540, True, False),
        (3600.0, 3600, True, True),
        (40.0, 29, False, False),
        (40.0, 30, True, False),
        (None, 10**6, False, False),
        (3600.0, -60, False, False),
        (3600.0, -61, True, True),
    ],
)
def test_when_a_token_is_due_and_expired(valid: float | None, after: float, due: bool, expired: bool) -> None:
    session = new_session(SERVER, CLIENT, tokens(valid_seconds=valid), now=NOW)
    assert (is_due(session, NOW + after), is_expired(session, NOW + after)) == (due, expired)


def test_a_refresh_without_new_refresh_token_keeps_the_old_one(tmp_path: Path) -> None:
    session = new_session(SERVER, CLIENT, tokens(), now=NOW)
    assert refreshed(session, tokens(2, refresh=False), now=NOW).refresh_token == "s3cret-refresh-1"
    ada = Person(tmp_path, tokens())
    ada.rotates = False
    for count in (1, 2, 3):
        ada.now += 3600
        assert (ada.signed_in.current(), ada.refreshes) == (f"s3cret-access-{count + 1}", count)


def test_of_many_commands_at_once_one_refreshes_and_all_stay_signed_in(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    ada.now = NOW + 3600
    found: list[str | None] = []
    begin, never = threading.Barrier(8), threading.Event()

    def pause(seconds: float) -> None:
        never.wait(seconds)

    def command() -> None:
        cache = TokenCache(
            tmp_path / "tokens", SERVER, "default", pause=pause, clock=lambda: 0.0
        )  # fmt: skip
        begin.wait()
        found.append(SignedIn(cache, ada, now=lambda: ada.now).current())

    threads = [threading.Thread(target=command) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (found, ada.refreshes) == (["s3cret-access-2"] * 8, 1)


def test_a_file_that_another_command_replaces_meanwhile_is_read_and_not_called_unsafe(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    session, ended = ada.cache.read(), threading.Event()
    assert session is not None

    def another_command() -> None:
        for _ in range(300):
            ada.cache.write(session)
        ended.set()

    thread = threading.Thread(target=another_command)
    thread.start()
    found = [ada.cache.read()]
    while not ended.is_set():
        found.append(ada.cache.read())
    thread.join()
    assert all(one == session for one in found)


def test_a_sign_in_that_the_provider_ended_is_removed_and_reported(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    ada.valid = "another"
    ada.now = NOW + 3600
    with pytest.raises(RoadError) as caught:
        ada.signed_in.current()
    said = "https://login.example.org has ended the sign-in at https://whence.example.org (run whence login)"
    assert (caught.value.code, caught.value.diagnostics()) == ("sign-in-ended", said)
    assert (ada.cache.read(), ada.signed_in.current()) == (None, None)


@pytest.mark.parametrize(
    "failure", [ProviderUnreachable("u", "timed out"), OAuthRefused(CLIENT.issuer, "invalid_client")]
)
def test_another_failure_of_the_provider_removes_nothing(tmp_path: Path, failure: RoadError) -> None:
    ada = Person(tmp_path, tokens())
    ada.fails, ada.now = failure, NOW + 3600
    with pytest.raises(RoadError):
        ada.signed_in.current()
    assert ada.cache.read() is not None
    ada.fails = None
    assert ada.signed_in.current() == "s3cret-access-2"


def test_while_the_provider_is_unreachable_a_valid_token_is_used(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    ada.fails, ada.now = ProviderUnreachable("u", "timed out"), NOW + 3599
    assert ada.signed_in.current() == "s3cret-access-1"


def test_a_refused_token_is_refreshed_once_even_before_its_expiry(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    assert ada.signed_in.after_refusal("s3cret-access-1") == "s3cret-access-2"
    assert ada.signed_in.after_refusal("s3cret-access-1") == "s3cret-access-2"  # another command has refreshed
    assert ada.refreshes == 1


def test_without_a_refresh_token_an_expired_sign_in_asks_to_sign_in_again(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens(refresh=False))
    assert ada.signed_in.after_refusal("s3cret-access-1") is None
    ada.now = NOW + 3599
    assert ada.signed_in.current() == "s3cret-access-1"
    ada.now = NOW + 3600
    with pytest.raises(RoadError, match="issued no refresh token"):
        ada.signed_in.current()


def test_a_refresh_token_is_not_used_if_its_successor_could_not_be_kept(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    ada.now = NOW + 3600

    class Full(TokenCache):
        def write(self, session: TerminalSession) -> None:
            raise RoadError("tokens-unwritable", "No space left on device")

    full = Full(tmp_path / "tokens", SERVER, "default", pause=ada._pause, clock=lambda: 0.0)
    with pytest.raises(RoadError, match="No space left"):
        SignedIn(full, ada, now=lambda: ada.now).current()
    assert (ada.refreshes, ada.signed_in.current()) == (0, "s3cret-access-2")


def test_a_lock_that_is_held_too_long_is_an_error_and_a_dead_process_holds_none(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    other = ada.another_cache(tmp_path / "tokens")
    with ada.cache.locked(), pytest.raises(RoadError, match="has held"), other.locked():
        raise AssertionError("two commands hold the lock")
    assert 90.0 <= ada.paused <= 91.0
    locks = [one for one in (tmp_path / "tokens").iterdir() if one.suffix == ".lock"]
    killed = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, *locks], check=False).returncode == -9
    with ada.cache.locked():
        assert ada.paused <= 91.0


def test_what_is_kept_is_one_file_for_a_server_and_profile_that_only_we_may_read(tmp_path: Path) -> None:
    old = os.umask(0o000)
    try:
        ada = Person(tmp_path, tokens())
    finally:
        os.umask(old)
    files = sorted((tmp_path / "tokens").iterdir())
    assert [oct(one.stat().st_mode & 0o777) for one in [*files, tmp_path / "tokens"]] == ["0o600", "0o700"]
    assert files == [ada.cache.path]
    document = json.loads(ada.cache.path.read_text())
    assert (document["server"], document["issuer"]) == (SERVER, CLIENT.issuer)
    session = ada.cache.read()
    assert session is not None
    assert "s3cret" not in repr(session)
    for server, profile in ((SERVER, "work"), ("https://other.example.org", "default")):
        other = TokenCache(tmp_path / "tokens", server, profile, pause=ada._pause, clock=lambda: 0.0)
        assert other.read() is None


def test_a_token_of_one_server_is_never_read_for_another(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    other = TokenCache(tmp_path / "tokens", "https://evil.example.org", "default", pause=ada._pause, clock=lambda: 0.0)
    ada.cache.path.rename(other.path)
    with pytest.raises(InputError, match="is damaged"):
        other.read()


def as_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda file: file.chmod(0o604), "is open to other users (mode 0604)"),
        (lambda file: file.chmod(0o620), "is open to other users (mode 0620)"),
        (lambda file: file.parent.chmod(0o770), "is open to other users (mode 0770)"),
        pytest.param(lambda file: os.chown(file, 65_534, -1), "belongs to another user", marks=pytest.mark.root),
        (as_pipe, "is of another kind"),
        (lambda file: (file.unlink(), file.symlink_to("/etc/passwd")), "is a symbolic link"),
        (lambda file: (file.unlink(), file.mkdir(0o700)), "is of another kind"),
        (lambda file: file.write_bytes(b"x" * 200_000), "is damaged"),
        (lambda file: file.write_bytes(b""), "is damaged"),
        (lambda file: file.write_text(file.read_text().replace('"version":1', '"version":2')), "is damaged"),
        (lambda file: (file.parent.rename(file.parent.parent / "x"),
                       file.parent.symlink_to(file.parent.parent / "x")), "is not a folder that can be used"),
    ],
)  # fmt: skip
def test_an_unsafe_file_or_folder_is_refused_with_a_fix(tmp_path: Path, spoil: object, said: str) -> None:
    assert callable(spoil)
    ada = Person(tmp_path, tokens())
    spoil(ada.cache.path)
    with pytest.raises(WhenceError) as caught:
        ada.signed_in.current()
    assert said in caught.value.message
    assert caught.value.fix
    assert "s3cret" not in caught.value.diagnostics()


def test_an_unsafe_file_can_be_removed(tmp_path: Path) -> None:
    ada = Person(tmp_path, tokens())
    ada.cache.path.chmod(0o644)
    assert (ada.cache.remove(), ada.cache.remove(), ada.cache.read()) == (True, False, None)


@pytest.mark.parametrize(
    "environment, folder",
    [
        ({"HOME": "/home/ada"}, "/home/ada/.local/state/whence/tokens"),
        ({"HOME": "/home/ada", "XDG_STATE_HOME": "/state"}, "/state/whence/tokens"),
        ({"HOME": "/home/ada", "XDG_STATE_HOME": "relative"}, "/home/ada/.local/state/whence/tokens"),
        ({"HOME": ""}, None),
        ({}, None),
    ],
)
def test_the_folder_is_that_of_the_XDG_specification(environment: dict[str, str], folder: str | None) -> None:  # noqa: N802 - a name
    assert folder_of(environment) == (Path(folder) if folder is not None else None)


@pytest.mark.parametrize(
    "url, server",
    [
        ("https://whence.example.org", SERVER),
        ("https://Whence.Example.org/", SERVER),
        ("https://whence.example.org:443", SERVER),
        ("https://whence.example.org:8443/x/", "https://whence.example.org:8443/x"),
        ("http://[::1]:7381", "http://[::1]:7381"),
    ],
)
def test_one_server_has_one_name(url: str, server: str) -> None:
    assert server_of(url) == server
