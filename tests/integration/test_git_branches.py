"""Whether the default branch reaches a commit: asked of real Git servers with histories of every shape."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.roads import git_reader
from landscape.bare import Bare
from landscape.git_server import git_server
from whence_aggregator.ports import BranchAnswer, SourceUnavailable
from whence_common.scm_source import SourceRepository

NOWHERE = "0" * 40
BY = ("heads/main",)
MADE = "2025-11-22T08:26:40.000Z"
"""When the commits of these tests were made."""


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[str]:
    async with git_server(tmp_path) as address:
        yield address


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


async def ask(host: str, commit: str, name: str = "app", **bounds: float) -> BranchAnswer:
    git = git_reader(host, logins=None, **bounds)
    return await git.branch(SourceRepository(host=host, path=name), commit)


async def test_a_commit_on_the_default_branch_is_reached_and_one_beside_it_is_not(host: str, bare: Bare) -> None:
    first = bare.commit("first", branch="main")
    beside = bare.commit("beside", first, branch="feature")
    second = bare.commit("second", first, branch="main")
    assert await ask(host, first) == BranchAnswer(branch="main", commit_id=second, reachable=True, reached_by=BY)
    assert await ask(host, second) == BranchAnswer(
        branch="main", commit_id=second, reachable=True, reached_by=BY, parents_at=MADE
    )
    assert await ask(host, beside) == BranchAnswer(branch="main", commit_id=second, reachable=False)
    assert (await ask(host, NOWHERE)).reachable is False


async def test_a_merge_reaches_what_it_merged_and_a_force_push_forgets_it(host: str, bare: Bare) -> None:
    first = bare.commit("first", branch="main")
    beside = bare.commit("beside", first, branch="feature")
    git = git_reader(host)
    place = SourceRepository(host=host, path="app")
    assert (await git.branch(place, beside)).reachable is False
    merge = bare.commit("merge", bare.commit("second", first), beside, branch="main")
    assert await git.branch(place, beside) == BranchAnswer(
        branch="main", commit_id=merge, reachable=True, reached_by=BY, parents_at=MADE
    )
    bare.git("update-ref", "-d", "refs/heads/feature")
    assert (await git.branch(place, beside)).reachable is True
    forced = bare.commit("forced", first, branch="main")
    assert await git.branch(place, beside) == BranchAnswer(branch="main", commit_id=forced, reachable=False)


async def test_the_default_branch_is_the_one_that_head_names_now(host: str, bare: Bare) -> None:
    first = bare.commit("first", branch="main")
    trunk = bare.commit("other", first, branch="trunk/next")
    assert (await ask(host, trunk)).reachable is False
    bare.git("symbolic-ref", "HEAD", "refs/heads/trunk/next")
    assert await ask(host, trunk) == BranchAnswer(
        branch="trunk/next", commit_id=trunk, reachable=True, reached_by=("heads/trunk/next",), parents_at=MADE
    )


async def test_a_backdated_commit_is_as_new_as_the_newest_of_its_parents(host: str, bare: Bare) -> None:
    first = bare.commit("first", date=1_500_000_000)
    older, newer = bare.commit("older", first, date=1_600_000_000), bare.commit("newer", first)
    backdated = bare.commit("backdated", older, newer, branch="main", date=1_400_000_000)
    assert (await ask(host, backdated)).parents_at == MADE
    assert (await ask(host, first)).parents_at == ""


@pytest.mark.parametrize("case", ["empty", "dangling", "tags only", "detached"])
async def test_without_a_default_branch_nothing_is_guessed(host: str, bare: Bare, case: str) -> None:
    made = NOWHERE
    if case != "empty":
        made = bare.commit("first", branch="main")
    if case == "dangling":
        bare.git("symbolic-ref", "HEAD", "refs/heads/gone")
    elif case == "tags only":
        bare.git("tag", "v1", made)
        bare.git("update-ref", "-d", "refs/heads/main")
    elif case == "detached":
        bare.git("update-ref", "--no-deref", "HEAD", made)
    answer = await ask(host, made)
    assert (answer.branch, answer.reachable) == (None, None)
    names = "names a commit, not a branch" if case == "detached" else "names no branch with commits"
    assert answer.reason == f"the repository has no default branch: its HEAD {names}"


async def test_a_commit_older_than_what_is_read_first_is_found_all_the_same(host: str, bare: Bare) -> None:
    line = bare.history(2_300)
    beside = bare.commit("beside", line[0], branch="feature", date=1_500_000_000)
    assert [(await ask(host, one)).reachable for one in (line[-50], line[500], line[0], beside)] == [
        True, True, True, False,
    ]  # fmt: skip


async def test_a_history_beyond_the_bound_is_undecided_with_the_reason(host: str, bare: Bare) -> None:
    line = bare.history(2_300)
    beside = bare.commit("beside", line[0], branch="feature")
    bounded = await ask(host, beside, file_bytes_max=64 * 1024)
    assert (bounded.branch, bounded.reachable) == ("main", None)
    assert "not all of the history of main was read" in bounded.reason
    assert (await ask(host, line[-1], file_bytes_max=64 * 1024)).reachable is True


async def test_clocks_that_went_wrong_hide_no_commit(host: str, bare: Bare) -> None:
    old = bare.commit("from the future", branch="main", date=4_000_000_000)
    bare.commit("from the past", old, branch="main", date=1)
    assert (await ask(host, old)).reachable is True


async def test_a_shallow_clone_can_confirm_a_commit_but_never_deny_it(host: str, bare: Bare, tmp_path: Path) -> None:
    line = bare.history(5)
    subprocess.run(
        ["git", "clone", "-q", "--bare", "--depth=2", f"file://{bare.path}", str(tmp_path / "cut.git")], check=True
    )
    assert (await ask(host, line[3], "cut")).reachable is True
    cut = await ask(host, line[0], "cut")
    assert (cut.reachable, cut.reason) == (None, "the server's history of main is incomplete: it is a shallow clone")


async def test_a_server_without_filters_or_single_commits_answers_too(tmp_path: Path, bare: Bare) -> None:
    bare.git("config", "uploadpack.allowFilter", "false")
    first = bare.commit("first", branch="main")
    beside = bare.commit("beside", first, branch="feature")
    bare.commit("second", first, branch="main")
    async with git_server(tmp_path, newest_protocol=False) as host:
        git, place = (
            git_reader(host),
            SourceRepository(host=host, path="app"),
        )
        assert ((await git.branch(place, first)).reachable, (await git.branch(place, beside)).reachable) == (
            True,
            False,
        )
        for commit, message in ((first, b"first"), (beside, b"beside")):
            content = await git.commit(place, commit)
            assert content is not None
            assert message in content.content
        assert await git.commit(place, NOWHERE) is None


async def test_a_commit_that_no_branch_holds_any_more_is_found_but_not_reached(host: str, bare: Bare) -> None:
    """A pull request's head, or a fork's commit that the server serves under this repository's name."""
    first = bare.commit("first", branch="main")
    loose = bare.commit("nobody's", first)
    git, place = (
        git_reader(host),
        SourceRepository(host=host, path="app"),
    )
    assert await git.commit(place, loose) is not None
    assert (await git.branch(place, loose)).reachable is False


async def test_the_id_of_a_tag_is_not_the_id_of_its_commit(host: str, bare: Bare) -> None:
    made = bare.commit("first", branch="main")
    bare.git("tag", "-a", "-m", "release", "v1", made)
    tag = bare.git("rev-parse", "refs/tags/v1")
    git, place = (
        git_reader(host),
        SourceRepository(host=host, path="app"),
    )
    assert (await git.commit(place, tag), await git.commit(place, made) is not None) == (None, True)


async def test_a_server_that_takes_too_long_is_named(host: str, bare: Bare) -> None:
    made = bare.commit("first", branch="main")
    with pytest.raises(SourceUnavailable, match=f"http://{host}/app.git: git init took over"):
        await ask(host, made, seconds_max=0.001)
