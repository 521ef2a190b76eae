"""Histories of many shapes: each commit is read as Git has it, and the commits between two are those of `git log`."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest

from landscape.bare import Bare
from landscape.endurance import repeated
from landscape.seeded_history import seeded_history
from whence_aggregator.adapters.git_cache import GitCache
from whence_aggregator.adapters.git_history import Protection
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_range import RangeBounds
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.collect.commit_object import commit_value
from whence_aggregator.ports_commits import RangeAnswer, RangeSide
from whence_common.scm_source import SourceRepository

HOST = "git.example.org"
APP = SourceRepository(host=HOST, path="app")
NOWHERE = "0" * 40


def reader(root: Path, cache: Path | None = None, **bounds: int) -> GitServerReader:
    kept = GitCache(cache, seconds=lambda: 0.0, now=lambda: 1.0) if cache is not None else None
    return GitServerReader(
        runs=GitRuns(), places={HOST: mirror_place(HOST, directory=str(root))}, cache=kept,
        bounds=RangeBounds(**bounds), protected={HOST: Protection(tags=("v*",))}, seconds_max=300.0,
    )  # fmt: skip


def side(found: RangeSide | None) -> RangeSide:
    assert found is not None
    return found


@pytest.mark.endurance
async def test_every_commit_of_a_seeded_history_is_read_and_ranges_are_those_of_git_log(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    releases = seeded_history(bare, commits_min=repeated(sample=1_000, whole=10_000), seed=21).releases
    every = bare.git("rev-list", "main").split()
    git = reader(tmp_path, tmp_path / "cache", kept_max=20_000)
    root = bare.git("rev-list", "--max-parents=0", "main")
    found = await git.between(APP, root, every[0])
    assert list(side(found.ahead).commits) == [one for one in every if one != root]
    assert set(found.objects) == set(every) - {root}
    shown = bare.git("log", "--format=%H%x01%P%x01%an%x01%ae%x01%at%x01%cn%x01%ct%x01%B%x00", "main")
    for record in shown.split("\0")[:-1]:
        name, parents, author, mail, _, committer, _, message = record.lstrip("\n").split("\x01")
        if name == root:
            continue
        value = commit_value(found.objects[name])
        assert (value["parents"], value["author_name"], value["author_mail"]) == (parents.split(), author, mail)
        assert (value["committer_name"], value["message"].rstrip("\n")) == (committer, message.rstrip("\n"))
        trailers = dict(value["trailers"])
        assert ("Fixes" in trailers) == ("\nFixes: PAY-" in message)
    for older, newer in itertools.pairwise(releases):
        between = await git.between(APP, older, newer)
        assert list(side(between.ahead).commits) == bare.git("log", "--format=%H", f"{older}..{newer}").split()
        assert side(between.behind).count == 0
        assert between.merge_base == older


async def test_the_trailers_are_those_of_interpret_trailers(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    messages = (
        "subject\n\nbody\n\nFixes: #1\nSigned-off-by: A\n  <a@b>\n", "Fixes: in the subject\n", "s\n\nFixes: no\nprose\nprose\n",
        "s\n\nprose\nmore\nSigned-off-by: A <a@b>\n", "s\n\nKey : spaced\nReviewed-by:\n", "s\n\nA: b\n\nnot the last\n",
        "s\n\nFixes: \x1b[31mred\x07\n", "s\n\nÜ: x\nCloses: Ü\n",
    )  # fmt: skip
    git = reader(tmp_path)
    for message in messages:
        made = bare.git("hash-object", "-w", "-t", "commit", "--stdin", given=(
            f"tree {'4b825dc642cb6eb9a060e54bf8d69288fbee4904'}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n{message}"
        ).encode())  # fmt: skip
        bare.git("update-ref", "refs/heads/main", made)
        read = await git.commit(APP, made)
        assert read is not None
        parsed = subprocess.run(
            ["git", "interpret-trailers", "--parse"], input=message.encode(), check=True, capture_output=True
        ).stdout.decode()
        pairs = [line.partition(":") for line in parsed.splitlines()]
        assert list(read.trailers) == [(key.strip(), value.strip()) for key, _, value in pairs], message


async def test_diverged_histories_are_listed_in_both_directions(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    base = bare.commit("base", branch="main")
    ours = bare.commit("ours", base, branch="main")
    theirs = [bare.commit("theirs 1", base)]
    theirs.append(bare.commit("theirs 2", theirs[0]))
    found = await reader(tmp_path).between(APP, ours, theirs[1])
    assert (found.merge_base, found.missing) == (base, ())
    assert (side(found.ahead).count, set(side(found.ahead).commits)) == (2, set(theirs))
    assert side(found.behind) == RangeSide(count=1, commits=(ours,))


async def test_histories_without_a_common_commit_have_no_merge_base(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    one, other = bare.commit("one", branch="main"), bare.commit("other", branch="orphan")
    found = await reader(tmp_path).between(APP, one, other)
    assert (found.merge_base, side(found.ahead).commits, side(found.behind).commits) == ("", (other,), (one,))


async def test_a_commit_that_the_server_does_not_have_is_named(tmp_path: Path) -> None:
    made = Bare(tmp_path).commit("one", branch="main")
    assert await reader(tmp_path).between(APP, NOWHERE, made) == RangeAnswer(
        missing=(NOWHERE,), reason=f"the server does not have {NOWHERE}"
    )


async def test_more_commits_than_are_counted_or_kept_are_said_so(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    line = bare.history(300)
    found = await reader(tmp_path, counted_max=200, kept_max=50).between(APP, line[0], line[-1])
    ahead = side(found.ahead)
    assert (ahead.count, ahead.counted_whole, len(ahead.commits), len(found.objects)) == (200, False, 50, 50)
    assert ahead.commits[0] == line[-1]


@pytest.mark.endurance
async def test_a_hundred_thousand_commits_between_two_are_counted(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    length = repeated(sample=6_000, whole=101_000)
    line = bare.history(length)
    counted = 100_000 if length > 100_000 else 5_000
    found = await reader(tmp_path, counted_max=counted).between(APP, line[0], line[-1])
    ahead = side(found.ahead)
    assert (ahead.count, ahead.counted_whole, len(ahead.commits)) == (counted, False, 2_000)


async def test_a_shallow_mirror_has_no_range(tmp_path: Path) -> None:
    bare = Bare(tmp_path, "whole")
    line = bare.history(5)
    command = ["git", "clone", "-q", "--bare", "--depth=3", f"file://{bare.path}", str(tmp_path / "app.git")]
    subprocess.run(command, check=True)
    found = await reader(tmp_path).between(APP, line[3], line[4])
    assert (found.ahead, "shallow clone" in found.reason) == (None, True)


async def test_one_commit_has_nothing_between_it_and_itself(tmp_path: Path) -> None:
    made = Bare(tmp_path).commit("one", branch="main")
    found = await reader(tmp_path).between(APP, made, made)
    assert (side(found.ahead).count, side(found.behind).count, found.merge_base) == (0, 0, made)
