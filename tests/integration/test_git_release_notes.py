"""Histories for which tools for release notes were reported to list wrong commits between two releases.

What counts is which commit reaches which, never a date, the name of a tag or the order of releases.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from landscape.bare import TREE, Bare
from whence_aggregator.adapters.git_cache import GitCache
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.collect.commit_object import commit_value
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.ports_commits import RangeAnswer
from whence_common.scm_source import SourceRepository

HOST = "git.example.org"
NOON = 1_763_800_000


async def between(root: Path, base: str, head: str) -> RangeAnswer:
    cache = GitCache(root / "cache", seconds=lambda: 0.0, now=lambda: 1.0)
    git = GitServerReader(runs=GitRuns(), places={HOST: mirror_place(HOST, directory=str(root))}, cache=cache)
    return await git.between(SourceRepository(host=HOST, path="app"), base, head)


async def sides(root: Path, base: str, head: str) -> tuple[list[str], list[str]]:
    """Return the commits that only head has, and those that only base has."""
    found = await between(root, base, head)
    assert found.ahead is not None, found.reason
    assert found.behind is not None
    assert set(found.objects) == {*found.ahead.commits, *found.behind.commits}
    return list(found.ahead.commits), list(found.behind.commits)


async def test_a_commit_older_than_a_release_is_of_the_release_that_merged_it(tmp_path: Path) -> None:
    """git-cliff 227 and 498, conventional-changelog 408: such commits were listed in the release before."""
    bare = Bare(tmp_path)
    root = bare.commit("root", date=NOON)
    feature = bare.commit("feature", root, date=NOON + 10)
    first = bare.commit("first release", root, date=NOON + 20)
    merged = bare.commit("merge", first, feature, date=NOON + 30, branch="main")
    assert await sides(tmp_path, root, first) == ([first], [])
    assert await sides(tmp_path, first, merged) == ([merged, feature], [])


async def test_a_patch_released_after_a_newer_version_is_not_what_the_next_one_starts_from(tmp_path: Path) -> None:
    """git-cliff 29, auto-changelog 142: the newest tag by date was taken for the release before."""
    bare = Bare(tmp_path)
    one = bare.commit("1.0", date=NOON)
    two = bare.commit("2.0", one, date=NOON + 10)
    patch = bare.commit("1.0.1", one, date=NOON + 20)
    three = bare.commit("3.0", two, date=NOON + 30, branch="main")
    bare.git("update-ref", "refs/heads/patches", patch)
    assert await sides(tmp_path, two, three) == ([three], [])
    assert await sides(tmp_path, patch, three) == ([three, two], [patch])
    assert (await between(tmp_path, patch, three)).merge_base == one


async def test_a_picked_commit_is_listed_on_both_sides_because_it_is_another_commit(tmp_path: Path) -> None:
    """release-please 935: the pick is what the release's line has, the original what main has."""
    bare = Bare(tmp_path)
    one = bare.commit("1.0", date=NOON)
    fix = bare.commit("PAY-7: fix", one, date=NOON + 10, branch="main")
    pick = bare.commit(f"PAY-7: fix\n\n(cherry picked from commit {fix})", one, date=NOON + 20, branch="patches")
    assert await sides(tmp_path, pick, fix) == ([fix], [pick])


async def test_main_merged_into_a_release_brings_all_of_its_commits(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    one = bare.commit("1.0", date=NOON)
    main = [bare.commit("a", one, date=NOON + 10)]
    main.append(bare.commit("b", main[0], date=NOON + 20, branch="main"))
    patch = bare.commit("1.0.1", one, date=NOON + 30)
    merged = bare.commit("Merge branch 'main' into patches", patch, main[1], date=NOON + 40, branch="patches")
    assert await sides(tmp_path, patch, merged) == ([merged, main[1], main[0]], [])
    assert await sides(tmp_path, merged, main[1]) == ([], [merged, patch])


async def test_a_release_that_was_squashed_into_main_is_no_ancestor_of_it(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    one = bare.commit("1.0", date=NOON)
    work = bare.commit("release work", one, date=NOON + 10, branch="release")
    squashed = bare.commit("release work (#9)", one, date=NOON + 20)
    after = bare.commit("after", squashed, date=NOON + 30, branch="main")
    assert await sides(tmp_path, work, after) == ([after, squashed], [work])


async def test_a_history_that_was_merged_from_another_repository_comes_whole(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    one = bare.commit("1.0", date=NOON)
    foreign = [bare.commit("foreign root", date=NOON - 200)]
    foreign.append(bare.commit("foreign", foreign[0], date=NOON - 100))
    joined = bare.commit("join", one, foreign[1], date=NOON + 10, branch="main")
    assert await sides(tmp_path, one, joined) == ([joined, foreign[1], foreign[0]], [])


async def test_commits_of_one_second_are_in_the_order_of_git_log(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    root = bare.commit("root", date=NOON)
    tips = []
    for name in "abcdef":
        tips.append(bare.commit(f"{name} 2", bare.commit(f"{name} 1", root, date=NOON), date=NOON))
    merged = bare.commit("octopus", root, *tips, date=NOON, branch="main")
    listed, _ = await sides(tmp_path, root, merged)
    assert len(listed) == 13
    assert listed == bare.git("log", "--format=%H", f"{root}..{merged}").split()


async def test_commits_that_both_have_are_not_listed_however_wrong_the_clocks_were(tmp_path: Path) -> None:
    """`git log base..head` lists `shared` and `root` too: it gives up on a line of commits that are much too old."""
    bare = Bare(tmp_path)
    root = bare.commit("root", date=NOON)
    shared = bare.commit("shared", root, date=NOON + 10)
    line = shared
    for number in range(12):
        line = bare.commit(f"by a clock that is behind {number}", line, date=NOON - 10_000 + number)
    base = bare.commit("base", line, date=NOON + 30, branch="release")
    only = bare.commit("only", shared, date=NOON + 20)
    head = bare.commit("head", only, date=NOON + 40, branch="main")
    listed, others = await sides(tmp_path, base, head)
    assert listed == [head, only]
    assert len(others) == 13
    assert (await between(tmp_path, base, head)).merge_base == shared


async def test_authors_are_those_of_the_commit_whatever_a_mailmap_says(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    root = bare.commit("root", date=NOON)
    blob = bare.git("hash-object", "-w", "--stdin", given=b"Eve <eve@example.org> <ada@example.org>\n")
    tree = bare.git("mktree", given=f"100644 blob {blob}\t.mailmap\n".encode())
    head = bare.git("commit-tree", tree, "-p", root, "-m", "one")
    bare.git("update-ref", "refs/heads/main", head)
    found = await between(tmp_path, root, head)
    assert commit_value(found.objects[head])["author"] == "Ada <ada@example.org>"


async def test_replacements_on_a_server_change_no_history(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    root = bare.commit("root", date=NOON)
    hidden = bare.commit("hidden", root, date=NOON + 10)
    head = bare.commit("head", hidden, date=NOON + 20, branch="main")
    shorter = bare.git("commit-tree", TREE, "-p", root, "-m", "head")
    bare.git("update-ref", f"refs/replace/{head}", shorter)
    assert await sides(tmp_path, root, head) == ([head, hidden], [])


async def test_a_server_with_grafts_sends_no_whole_history_which_is_stated(tmp_path: Path) -> None:
    bare = Bare(tmp_path)
    root = bare.commit("root", date=NOON)
    hidden = bare.commit("hidden", root, date=NOON + 10)
    head = bare.commit("head", hidden, date=NOON + 20, branch="main")
    grafts = bare.path / "info" / "grafts"
    grafts.write_text(f"{head} {root}\n", encoding="ascii")
    with pytest.raises(SourceUnavailable, match="did not send all parents of its commits") as refused:
        await between(tmp_path, root, head)
    assert refused.value.code == "git-incomplete"
    grafts.unlink()
    assert await sides(tmp_path, root, head) == ([head, hidden], [])
