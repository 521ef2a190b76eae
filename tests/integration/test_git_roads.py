"""Git servers by SSH, by HTTP and as a folder of mirrors: the same answers, and nothing but these roads."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.roads import git_reader
from landscape.bare import Bare
from landscape.git_server import git_server
from landscape.ssh_server import SshServer, ssh_server
from whence_aggregator.adapters.git_history import Protection
from whence_aggregator.adapters.git_places import GitPlace, http_place, mirror_place, ssh_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.ports import ProtectedNames, SourceUnavailable
from whence_common.scm_source import SourceRepository

HOST = "git.example.org"
APP = SourceRepository(host=HOST, path="app")
NOWHERE = "0" * 40


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


@pytest.fixture
async def sshd(tmp_path: Path) -> AsyncIterator[SshServer]:
    async with ssh_server(tmp_path) as server:
        yield server


def by_ssh(server: SshServer, **more: str) -> GitPlace:
    """Return the place; the server's name is its address, because no name leads to it."""
    files = {"key_file": server.key_file, "known_hosts_file": server.known_hosts_file, **more}
    return ssh_place("127.0.0.1", user=server.user, port=server.port, **files)


def reader(place: GitPlace, protection: Protection | None = None) -> GitServerReader:
    protected = {place.host: protection} if protection is not None else {}
    return GitServerReader(runs=GitRuns(), places={place.host: place}, protected=protected)


async def test_a_commit_is_read_by_ssh_with_a_pinned_host_key(sshd: SshServer, bare: Bare) -> None:
    first = bare.commit("first", branch="main")
    second = bare.commit("second", first, branch="main")
    place = SourceRepository(host="127.0.0.1", path="app")
    git = reader(by_ssh(sshd))
    content = await git.commit(place, first)
    assert content is not None
    assert b"\n\nfirst\n" in content.content
    assert await git.commit(place, NOWHERE) is None
    assert (await git.branch(place, first)).reachable is True
    found = await git.between(place, first, second)
    assert found.ahead is not None
    assert found.ahead.commits == (second,)
    assert set(sshd.log.read_text(encoding="ascii").splitlines()) == {"git-upload-pack '/app.git'"}


async def test_a_server_with_another_host_key_is_not_asked(sshd: SshServer, bare: Bare) -> None:
    made = bare.commit("first", branch="main")
    place = SourceRepository(host="127.0.0.1", path="app")
    for known in (sshd.other_hosts_file, "/dev/null"):
        with pytest.raises(SourceUnavailable) as caught:
            await reader(by_ssh(sshd, known_hosts_file=known)).commit(place, made)
        assert caught.value.code == "git-host-key"
    assert not sshd.log.exists()


async def test_a_key_that_the_server_does_not_accept_is_named(sshd: SshServer, bare: Bare, tmp_path: Path) -> None:
    made = bare.commit("first", branch="main")
    other = tmp_path / "other-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    with pytest.raises(SourceUnavailable) as caught:
        await reader(by_ssh(sshd, key_file=str(other))).commit(SourceRepository(host="127.0.0.1", path="app"), made)
    assert caught.value.code == "git-key-refused"


async def test_a_mirror_answers_without_any_server(bare: Bare, tmp_path: Path) -> None:
    first = bare.commit("first", branch="main")
    bare.git("config", "--unset", "uploadpack.allowFilter")
    git = reader(mirror_place(HOST, directory=str(tmp_path)))
    assert await git.commit(APP, first) is not None
    assert (await git.branch(APP, first)).reached_by == ("heads/main",)
    with pytest.raises(SourceUnavailable):
        await git.commit(SourceRepository(host=HOST, path="nowhere"), first)


async def test_a_mirrors_own_configuration_runs_no_program(bare: Bare, tmp_path: Path) -> None:
    made = bare.commit("first", branch="main")
    ran = tmp_path / "ran"
    for name in ("uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.alternateRefsCommand"):
        bare.git("config", name, f"touch {ran}; false")
    hook = bare.path / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n", encoding="ascii")
    hook.chmod(0o755)
    git = reader(mirror_place(HOST, directory=str(tmp_path)))
    assert await git.commit(APP, made) is not None
    assert (await git.branch(APP, made)).reachable is True
    assert not ran.exists()


async def test_a_mirror_that_is_a_link_to_another_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mirrors").mkdir()
    outside = Bare(tmp_path, "outside")
    made = outside.commit("first", branch="main")
    (tmp_path / "mirrors" / "app.git").symlink_to(outside.path)
    with pytest.raises(SourceUnavailable) as caught:
        await reader(mirror_place(HOST, directory=str(tmp_path / "mirrors"))).commit(APP, made)
    assert caught.value.code == "git-mirror-outside"


async def test_protected_branches_and_tags_count_beside_the_default_branch(bare: Bare, tmp_path: Path) -> None:
    first = bare.commit("first", branch="main")
    release = bare.commit("fix", first, branch="release/1.x")
    feature = bare.commit("feature", first, branch="feature")
    bare.git("tag", "-a", "-m", "release", "v1.0", release)
    bare.git("tag", "nightly", feature)
    mirror = mirror_place(HOST, directory=str(tmp_path))
    plain, guarded = reader(mirror), reader(mirror, Protection(branches=("release/*",), tags=("v*",)))
    assert ((await plain.branch(APP, release)).reachable, (await plain.branch(APP, feature)).reachable) == (
        False,
        False,
    )
    found = await guarded.branch(APP, release)
    assert (found.branch, found.reachable, found.reached_by) == ("main", True, ("heads/release/1.x", "tags/v1.0"))
    assert (await guarded.branch(APP, first)).reached_by == ("heads/main", "heads/release/1.x", "tags/v1.0")
    assert (await guarded.branch(APP, feature)).reachable is False
    by_host = await plain.branch(APP, release, ProtectedNames(branches=("release/*", "--upload-pack=x", "gone")))
    assert (by_host.reachable, by_host.reached_by) == (True, ("heads/release/1.x",))


async def test_more_protected_refs_than_are_read_leave_a_denial_open(bare: Bare, tmp_path: Path) -> None:
    first = bare.commit("first", branch="main")
    feature = bare.commit("feature", first, branch="feature")
    bare.git(
        "update-ref", "--stdin", given="".join(f"create refs/tags/v{one} {first}\n" for one in range(300)).encode()
    )
    found = await reader(mirror_place(HOST, directory=str(tmp_path)), Protection(tags=("v*",))).branch(APP, feature)
    assert (found.reachable, found.reason) == (None, "101 protected branches and tags were not read")


async def test_a_repository_with_ids_of_64_digits_is_read(tmp_path: Path) -> None:
    path = tmp_path / "app.git"
    subprocess.run(["git", "init", "-q", "--bare", "--object-format=sha256", "-b", "main", str(path)], check=True)
    stream = "commit refs/heads/main\ncommitter A <a@b.c> 1600000000 +0000\ndata 5\nhello\n"
    subprocess.run(["git", "--git-dir", str(path), "fast-import", "--quiet"], input=stream.encode(), check=True)
    made = subprocess.run(
        ["git", "--git-dir", str(path), "rev-parse", "main"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert len(made) == 64
    async with git_server(tmp_path) as host:
        git, place = reader(http_place(host, plain_http=True)), SourceRepository(host=host, path="app")
        assert await git.commit(place, made) is not None
        assert (await git.branch(place, made)).reachable is True


async def test_a_server_that_is_not_configured_is_never_asked(bare: Bare) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await git_reader("127.0.0.1:1").commit(APP, NOWHERE)
    assert caught.value.code == "git-not-configured"
