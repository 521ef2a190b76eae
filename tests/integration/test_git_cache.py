"""Repositories that are kept: bounded, used by one at a time, and whole again after any crash."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from landscape.bare import Bare
from landscape.endurance import repeated
from whence_aggregator.adapters.git_cache import GitCache, size_of
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.ports import SourceUnavailable
from whence_common.scm_source import SourceRepository

HOST = "git.example.org"


class Times:
    """Clocks that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def times() -> Times:
    return Times()


def cache_of(tmp_path: Path, times: Times, **bounds: float) -> GitCache:
    return GitCache(tmp_path / "cache", seconds=times, now=times, **bounds)  # type: ignore[arg-type]  # bounds by their names


def reader(tmp_path: Path, cache: GitCache) -> GitServerReader:
    return GitServerReader(
        runs=GitRuns(), places={HOST: mirror_place(HOST, directory=str(tmp_path))}, cache=cache, seconds_max=300.0
    )


def repository(name: str = "app") -> SourceRepository:
    return SourceRepository(host=HOST, path=name)


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "repositories").iterdir())


async def test_a_history_that_was_read_is_read_from_the_cache(tmp_path: Path, times: Times) -> None:
    bare = Bare(tmp_path)
    line = bare.history(3_000)
    git = reader(tmp_path, cache_of(tmp_path, times))
    assert (await git.branch(repository(), line[0])).reachable is True
    (place,) = kept(tmp_path)
    packs = sorted(place.glob("objects/pack/*.pack"))
    assert [(await git.branch(repository(), one)).reachable for one in (line[5], line[2_999])] == [True, True]
    assert sorted(place.glob("objects/pack/*.pack")) == packs
    newer = bare.commit("newer", line[-1], branch="main")
    assert (await git.branch(repository(), newer)).commit_id == newer
    forced = bare.commit("forced", line[10], branch="main")
    assert (await git.branch(repository(), newer)).reachable is False
    assert (await git.branch(repository(), forced)).reachable is True


async def test_a_commit_that_was_fetched_by_its_id_is_never_taken_for_one_of_a_branch(
    tmp_path: Path, times: Times
) -> None:
    """A fork's commit, which servers return under the parent's name."""
    bare = Bare(tmp_path)
    first = bare.commit("first", branch="main")
    forked = bare.commit("of a fork", first)
    git = reader(tmp_path, cache_of(tmp_path, times))
    assert await git.commit(repository(), forked) is not None
    found = await git.between(repository(), first, forked)
    assert found.ahead is not None
    assert found.ahead.commits == (forked,)
    assert (await git.branch(repository(), forked)).reachable is False
    assert (await git.branch(repository(), first)).reachable is True


async def test_what_an_interrupted_fetch_left_is_removed_before_the_next_use(tmp_path: Path, times: Times) -> None:
    bare = Bare(tmp_path)
    made = bare.commit("first", branch="main")
    git = reader(tmp_path, cache_of(tmp_path, times))
    await git.branch(repository(), made)
    (place,) = kept(tmp_path)
    (place / "refs" / "whence").mkdir(parents=True, exist_ok=True)
    left = [place / one for one in ("shallow.lock", "packed-refs.lock", "config.lock", "HEAD.lock",
                                    "objects/pack/tmp_pack_x", "objects/pack/tmp_idx_x", "refs/whence/x.lock")]  # fmt: skip
    for one in left:
        one.write_bytes(b"x")
    second = bare.commit("second", made, branch="main")
    assert (await git.branch(repository(), second)).reachable is True
    assert not any(one.exists() for one in left)


@pytest.mark.parametrize("damage", ["HEAD", "config", "objects", "pack"])
async def test_a_damaged_repository_is_made_anew(tmp_path: Path, times: Times, damage: str) -> None:
    bare = Bare(tmp_path)
    made = bare.commit("first", branch="main")
    git = reader(tmp_path, cache_of(tmp_path, times))
    await git.branch(repository(), made)
    (place,) = kept(tmp_path)
    if damage == "objects":
        for one in place.glob("objects/pack/*.pack"):
            one.unlink()
    elif damage == "pack":
        for one in place.glob("objects/pack/*.pack"):
            one.chmod(0o600)
            one.write_bytes(b"PACK of nothing")
    else:
        (place / damage).unlink()
    second = bare.commit("second", made, branch="main")
    answers = []
    for _ in range(2):
        try:
            answers.append((await git.branch(repository(), second)).reachable)
        except SourceUnavailable:
            continue  # it was found to be damaged, and removed
    assert answers[-1] is True


async def test_the_least_recently_used_repositories_are_removed_first(tmp_path: Path, times: Times) -> None:
    made = {name: Bare(tmp_path, name).commit(name, branch="main") for name in ("one", "two", "three")}
    cache = cache_of(tmp_path, times)
    git = reader(tmp_path, cache)
    for name in ("one", "two", "one", "three"):
        times.now += 10
        await git.branch(repository(name), made[name])
    sizes = {one.name: size_of(one) for one in kept(tmp_path)}
    newest = sorted(kept(tmp_path), key=lambda one: one.stat().st_mtime)[1:]
    small = cache_of(tmp_path, times, bytes_max=sum(sizes[one.name] for one in newest))
    small.clean()
    assert sorted(kept(tmp_path)) == sorted(newest)
    assert list((tmp_path / "cache" / "removed").iterdir()) == []


async def test_a_repository_in_use_is_not_removed_and_others_work_beside_it(tmp_path: Path, times: Times) -> None:
    made = Bare(tmp_path).commit("first", branch="main")
    cache = cache_of(tmp_path, times, bytes_max=0)
    async with cache.place("x") as place:
        Path(place.directory, "file").write_bytes(b"x")
        cache.clean()
        assert Path(place.directory, "file").exists()
        assert (await reader(tmp_path, cache).branch(repository(), made)).reachable is True
    cache.clean()
    assert kept(tmp_path) == []


async def test_another_process_that_holds_a_repository_is_not_waited_for(tmp_path: Path, times: Times) -> None:
    cache = cache_of(tmp_path, times)
    async with cache.place("x") as mine:
        pass
    held = [os.open(one, os.O_RDWR) for one in (tmp_path / "cache" / "locks").iterdir()]
    for one in held:
        fcntl.flock(one, fcntl.LOCK_EX)
    async with cache.place("x") as other:
        assert (other.directory != mine.directory, other.is_new, other.held) == (True, True, ())
    assert not Path(other.directory).exists()
    for one in held:
        os.close(one)
    async with cache.place("x") as again:
        assert again.directory == mine.directory


async def test_two_questions_about_one_repository_take_turns(tmp_path: Path, times: Times) -> None:
    cache = cache_of(tmp_path, times)
    entered, go = asyncio.Event(), asyncio.Event()

    async def first() -> str:
        async with cache.place("x") as place:
            entered.set()
            await go.wait()
            return place.directory

    async def second() -> str:
        await entered.wait()
        go.set()
        async with cache.place("x") as place:
            return place.directory

    one, other = await asyncio.gather(first(), second())
    assert one == other


async def test_a_question_that_waits_too_long_uses_a_repository_of_its_own(tmp_path: Path, times: Times) -> None:
    cache = cache_of(tmp_path, times, wait_seconds_max=0.01)
    async with cache.place("x") as one, cache.place("x") as other:
        assert one.directory != other.directory


async def test_a_lock_is_held_as_long_as_a_process_that_was_given_it(tmp_path: Path, times: Times) -> None:
    """The aggregator is killed, and a git of it is still writing: the next one must not touch the repository."""
    cache = cache_of(tmp_path, times)
    async with cache.place("x") as mine:
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], pass_fds=mine.held)
    async with cache.place("x") as other:
        assert other.directory != mine.directory
    child.send_signal(signal.SIGKILL)
    child.wait()
    async with cache.place("x") as again:
        assert again.directory == mine.directory


async def test_a_repository_with_too_many_packs_is_made_anew(tmp_path: Path, times: Times) -> None:
    bare = Bare(tmp_path)
    git = reader(tmp_path, cache_of(tmp_path, times, packs_max=3))
    tip = bare.commit("0", branch="main")
    for number in range(6):
        tip = bare.commit(str(number), tip, branch="main")
        assert (await git.branch(repository(), tip)).reachable is True
    (place,) = kept(tmp_path)
    assert len(list(place.glob("objects/pack/*.pack"))) <= 4


@pytest.mark.endurance
async def test_memory_stays_flat_with_many_repositories(tmp_path: Path, times: Times) -> None:
    total = repeated(sample=12, whole=100)
    made = {f"r{number}": Bare(tmp_path, f"r{number}").commit("x", branch="main") for number in range(total)}
    git = reader(tmp_path, cache_of(tmp_path, times))

    async def ask(names: list[str]) -> int:
        for name in names:
            await git.branch(repository(name), made[name])
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        names = list(made)
        few = await ask(names[:4])
        many = await ask(names[4:])
    finally:
        tracemalloc.stop()
    assert many - few < 300_000
    assert len(kept(tmp_path)) == total
