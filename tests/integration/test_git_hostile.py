"""Git servers and histories that mean harm: what they send is bounded, and nothing of it runs or leads elsewhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fakes.in_process import FakeSources
from fakes.misbehaving import Answer, misbehaving
from fakes.roads import git_reader
from landscape.bare import TREE, Bare
from landscape.git_server import git_server
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_renamed import HttpRenames
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.collect.branches import BranchCollector
from whence_aggregator.collect.commit_object import commit_value
from whence_aggregator.collect.commits import CommitCollector, RangeCollector, SignatureCollector
from whence_aggregator.collect.protection import ProtectionSources
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trace.tickets import TICKETS_MAX, named_in
from whence_common.clock import utc_now
from whence_common.errors import InputError
from whence_common.registry_sign_in import Login
from whence_common.scm_source import SourceRepository

HOST = "git.example.org"
APP = SourceRepository(host=HOST, path="app")
A, B = "a" * 40, "b" * 40
PEOPLE = "author A <a@b.c> 1600000000 +0000\ncommitter A <a@b.c> 1600000000 +0000\n"


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


def reader(root: Path) -> GitServerReader:
    return GitServerReader(runs=GitRuns(), places={HOST: mirror_place(HOST, directory=str(root))})


def written(bare: Bare, head: str, message: bytes) -> str:
    """Write a commit object as it is, and have main name it."""
    content = f"tree {TREE}\n{head}\n".encode() + message
    made = bare.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", given=content)
    bare.git("update-ref", "refs/heads/main", made)
    return made


async def value_of(tmp_path: Path, commit: str) -> dict[str, object]:
    read = await reader(tmp_path).commit(APP, commit)
    assert read is not None
    return commit_value(read)


async def test_a_message_of_ten_megabytes_is_read_in_part_and_its_trailers_whole(tmp_path: Path, bare: Bare) -> None:
    made = written(bare, PEOPLE, b"Begin\n\n" + b"PAY-1 " * 1_700_000 + b"\n\nFixes: PAY-7\n")
    found = await value_of(tmp_path, made)
    assert (found["subject"], found["message_cut"], found["trailers"]) == ("Begin", True, [["Fixes", "PAY-7"]])
    assert len(str(found["message"])) == 65_536
    between = await reader(tmp_path).between(APP, bare.commit("base", branch="main"), made)
    assert between.ahead is not None
    assert between.ahead.commits == (made,)
    assert made not in between.objects  # too large to be read among many


@pytest.mark.parametrize(
    "message",
    [
        b"\x1b[2J\x07\x08\x1b]0;owned\x07", b"caf\xe9 \xff\xfe", b"\xef\xbb\xbfPAY-1: marked", "\u202egnp.exe".encode(),
        b"a\rb\r\nc", b"", b"\n\n\n", b"x" * 70_000, b"subject\n" + b"\n" * 60_000 + b"end",
        b"s\n\n" + b"".join(b"K%d: v\n" % one for one in range(5_000)), b"s\n\nFixes: " + b"9" * 100_000,
    ],
)  # fmt: skip
async def test_any_message_is_read_within_its_bounds(tmp_path: Path, bare: Bare, message: bytes) -> None:
    found = await value_of(tmp_path, written(bare, PEOPLE, message))
    assert len(str(found["message"])) <= 65_536
    trailers = found["trailers"]
    assert isinstance(trailers, list)
    assert len(trailers) <= 100
    assert all(len(part) <= 1_000 for pair in trailers for part in pair)


async def test_a_thousand_tickets_in_one_message_are_bounded(tmp_path: Path, bare: Bare) -> None:
    made = written(bare, PEOPLE, b"s\n\n" + b" ".join(b"PAY-%d" % one for one in range(1_000)))
    found = await value_of(tmp_path, made)
    assert len(named_in(str(found["message"]), ("PAY-{number}",)).tickets) == TICKETS_MAX


async def test_a_merge_of_three_hundred_parents_is_read(tmp_path: Path, bare: Bare) -> None:
    base = bare.commit("base", branch="main")
    sides = [bare.commit(f"side {one}", base) for one in range(300)]
    merge = written(bare, "".join(f"parent {one}\n" for one in sides) + PEOPLE, b"octopus\n")
    found = await value_of(tmp_path, merge)
    assert (found["parents_total"], found["parents"]) == (300, sides[:100])
    between = await reader(tmp_path).between(APP, base, merge)
    assert between.ahead is not None
    assert between.ahead.count == 301
    assert (await reader(tmp_path).branch(APP, sides[299])).reachable is True


@pytest.mark.parametrize(
    "head",
    [
        "author A <a@b.c> 99999999999999999999 +0000\ncommitter A <a@b.c> 1 +0000\n", "author A\ncommitter A <a@b.c> 1 +0000\n",
        "author <> 1 +9999\ncommitter <> 1 +0000\n", "committer A <a@b.c> 1 +0000\n",
        "author A <a> b> 1 +0000\ncommitter A <a@b.c> -5 +0000\n",
    ],
)  # fmt: skip
async def test_a_malformed_commit_is_unknown_or_read_without_what_is_malformed(
    tmp_path: Path, bare: Bare, head: str
) -> None:
    made = written(bare, head, b"message\n")
    refused = False
    try:
        found = await value_of(tmp_path, made)
    except SourceUnavailable as exc:
        refused = exc.code == "git-refused"  # by Git's own check of what was received
    assert refused or found["subject"] == "message"


@pytest.mark.parametrize(
    "name",
    ["--upload-pack=touch${IFS}ran", "-x", "$(touch ran)", "a;touch ran;b".replace(" ", "${IFS}"), "`id`", "x'y\"z", "é", "a&b|c", "HEAD"],
)  # fmt: skip
async def test_a_branch_with_a_name_like_an_option_or_a_command_is_only_a_name(
    tmp_path: Path, bare: Bare, name: str
) -> None:
    name = name.replace(" ", "${IFS}")
    made = bare.commit("first")
    bare.git("update-ref", f"refs/heads/{name}", made)
    bare.git("symbolic-ref", "HEAD", f"refs/heads/{name}")
    assert (await reader(tmp_path).branch(APP, made)).branch == name
    assert not list(tmp_path.rglob("ran"))


async def test_replaced_objects_of_the_server_are_not_used(tmp_path: Path, bare: Bare) -> None:
    made, other = bare.commit("honest", branch="main"), bare.commit("forged")
    bare.git("replace", made, other)
    assert (await value_of(tmp_path, made))["subject"] == "honest"


async def test_submodules_and_large_files_are_never_followed(tmp_path: Path, bare: Bare) -> None:
    modules = b'[submodule "x"]\n\tpath = x\n\turl = ext::touch ran\n\tupdate = !touch ran\n'
    blob = bare.git("hash-object", "-w", "--stdin", given=modules)
    lfs = bare.git("hash-object", "-w", "--stdin", given=b"*.bin filter=lfs diff=lfs\n")
    tree = bare.git("mktree", "--missing", given=(
        f"100644 blob {lfs}\t.gitattributes\n100644 blob {blob}\t.gitmodules\n160000 commit {A}\tx\n"
    ).encode())  # fmt: skip
    made = bare.git("commit-tree", tree, "-m", "with a submodule")
    bare.git("update-ref", "refs/heads/main", made)
    git = reader(tmp_path)
    assert (await value_of(tmp_path, made))["subject"] == "with a submodule"
    assert (await git.branch(APP, made)).reachable is True
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize(
    "subject",
    [
        "git.example.org/app@--upload-pack=x", "git.example.org/app@main", f"git.example.org/app@{A.upper()}", f"git.example.org/app@{A}\n",
        f"-oProxyCommand=x/app@{A}", f"git.example.org/../app@{A}", f"git.example.org/app@{A}..", f"git.example.org/--x@{A}",
        f"ext::sh -c x@{A}", f"git.example.org/app;id@{A}", f"git.example.org/app@{A}^{{tree}}", f"@{A}", "",
    ],
)  # fmt: skip
async def test_a_malformed_subject_is_never_asked_about(subject: str) -> None:
    sources = FakeSources()
    for collector in (
        CommitCollector(sources),
        BranchCollector(sources, ProtectionSources(settings={}, hosts={}, now=utc_now)),
        SignatureCollector(sources),
        RangeCollector(sources),
    ):
        with pytest.raises(InputError):
            await collector.collect(subject)


@pytest.mark.parametrize(
    "commits", [f"{A}..", f"..{B}", f"{A}...{B}", f"{A}..{B} --all", f"--all..{B}", f"{A}..{B}..{A}", f"{A[:7]}..{B}"]
)
async def test_a_malformed_range_is_never_asked_about(commits: str) -> None:
    with pytest.raises(InputError):
        await RangeCollector(FakeSources()).collect(f"git.example.org/app@{commits}")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"x" * 300_000), Answer(body=b"<html>Sign in</html>", headers={"Content-Type": "text/html"}),
        Answer(body=b"0004" * 100, headers={"Content-Type": "application/x-git-upload-pack-advertisement"}),
        Answer(body=b"001e# service=git-upload-pack\n0000fffe", headers={"Content-Type": "application/x-git-upload-pack-advertisement"}),
        Answer(status=404), Answer(status=403), Answer(status=429), Answer(status=503), Answer(status=204),
    ],
)  # fmt: skip
async def test_what_is_no_git_server_is_unknown_and_never_a_missing_commit(answer: Answer) -> None:
    async with misbehaving(answer) as host:
        git = git_reader(host, seconds_max=5.0)
        for ask in (git.commit, git.branch, git.signature):
            with pytest.raises(SourceUnavailable):
                await ask(SourceRepository(host=host, path="app"), A)


@dataclass
class Redirecting:
    """Answers requests for one path with a redirect, and notes which logins it was shown."""

    location: str
    status: int = 301
    shown: list[str] = field(default_factory=list)

    def __call__(self, request: web.Request) -> web.Response | None:
        self.shown.append(request.headers.get("Authorization", ""))
        if not request.path.startswith("/old.git/"):
            return None
        tail = request.path_qs.removeprefix("/old.git")
        return web.Response(status=self.status, headers={"Location": self.location.replace("{tail}", tail)})


class OneLogin:
    async def login(self, path: str) -> Login | None:
        return Login(username="robot", password="hunter2")

    def refused(self, login: Login | None) -> SourceUnavailable:
        return SourceUnavailable("git-denied", "refused")


@asynccontextmanager
async def renaming(root: Path, guard: Redirecting) -> AsyncIterator[tuple[GitServerReader, str]]:
    async with git_server(root, guard=guard) as host, aiohttp.ClientSession() as session:
        guard.location = guard.location.replace("{host}", host)
        yield git_reader(host, logins=OneLogin(), renames=HttpRenames(session)), host


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("location", ["http://{host}/app.git{tail}", "/app.git{tail}"])
async def test_a_renamed_repository_is_read_under_its_new_name_and_says_so(
    tmp_path: Path, bare: Bare, status: int, location: str
) -> None:
    made = bare.commit("first", branch="main")
    async with renaming(tmp_path, Redirecting(location, status)) as (git, host):
        old = SourceRepository(host=host, path="old")
        found = await git.branch(old, made)
        assert (found.reachable, found.moved_to) == (True, f"{host}/app")
        assert await git.commit(old, made) is not None
        assert (await git.branch(SourceRepository(host=host, path="app"), made)).moved_to == ""


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/app.git{tail}", "http://{other}/app.git{tail}", "https://{host}/app.git{tail}",
        "http://robot:hunter2@{host}/app.git{tail}", "file:///etc/passwd", "http://{host}/old.git{tail}", "http://{host}/../..{tail}",
        "http://{host}/--upload-pack=x.git{tail}", "//{other}/app.git{tail}", "", "http://[::1/x", "http://{host}/sign-in",
        "ext::touch% ran", "http://{host}/a%0d%0ab.git{tail}",
    ],
)  # fmt: skip
async def test_a_redirect_to_anywhere_else_is_not_followed_and_no_login_is_shown(
    tmp_path: Path, bare: Bare, location: str
) -> None:
    made = bare.commit("first", branch="main")
    stranger = Redirecting("")
    async with git_server(tmp_path, guard=stranger) as other:
        guard = Redirecting(location.replace("{other}", other))
        async with renaming(tmp_path, guard) as (git, host):
            with pytest.raises(SourceUnavailable):
                await git.branch(SourceRepository(host=host, path="old"), made)
    assert stranger.shown == []


async def test_a_chain_of_renames_is_followed_once(tmp_path: Path, bare: Bare) -> None:
    made = bare.commit("first", branch="main")
    asked: list[str] = []

    def endless(request: web.Request) -> web.Response:
        asked.append(request.path)
        number = int(re.findall(r"[0-9]+", request.path)[0])
        return web.Response(status=301, headers={"Location": f"/r{number + 1}.git/info/refs?service=git-upload-pack"})

    async with git_server(tmp_path, guard=endless) as host, aiohttp.ClientSession() as session:
        git = git_reader(host, renames=HttpRenames(session))
        with pytest.raises(SourceUnavailable):
            await git.branch(SourceRepository(host=host, path="r0"), made)
    assert set(asked) == {"/r0.git/info/refs", "/r1.git/info/refs"}
