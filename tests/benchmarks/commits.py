"""Collecting a thousand commits, beside `git fetch` of the same ones, in turns."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path

from landscape.bare import Bare
from landscape.processes import run
from landscape.seeded_history import seeded_history
from whence_aggregator.adapters.git_cache import GitCache
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.collect.commit_object import commit_value
from whence_common.scm_source import SourceRepository

_COMMITS = 1_000
_RATIO_MAX = 1.5
_HOST = "git.example.org"


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print how long both take, and their ratio; the bound is 1.5."""
    bare = Bare(directory)
    seeded_history(bare, commits_min=10_000, seed=21)
    head = bare.git("rev-parse", "main")
    listed = bare.git("rev-list", "main").split()
    base = next(one for one in listed if int(bare.git("rev-list", "--count", f"{one}..main")) >= _COMMITS)
    count = int(bare.git("rev-list", "--count", f"{base}..main"))
    bare.git("update-ref", "refs/heads/old", base)
    theirs, ours = [], []
    for number in range(max(rounds, 3) * 3):
        if number % 2:  # whoever comes first finds less in the caches of the machine
            ours.append(await _collect(bare, directory, number, (base, head), count))
        theirs.append(await _fetch(bare, directory / f"theirs-{number}"))
        if not number % 2:
            ours.append(await _collect(bare, directory, number, (base, head), count))
    fetched, collected = statistics.median(theirs), statistics.median(ours)
    ratios = sorted(our / their for our, their in zip(ours, theirs, strict=True))
    ratio = statistics.median(ratios)
    print(
        f"{count} commits: fetched by git in {fetched * 1000:.0f} ms, collected in {collected * 1000:.0f} ms (medians)"
    )
    print(
        f"median ratio of {len(ratios)} rounds {ratio:.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f} (at most {_RATIO_MAX}): "
        f"{'kept' if ratio <= _RATIO_MAX else 'NOT KEPT'}"
    )


async def _fetch(bare: Bare, place: Path) -> float:
    """Fetch the commits into a clone that has those before them."""
    url = f"file://{bare.path}"
    await run("git", "init", "-q", "--bare", str(place))
    await run("git", "-C", str(place), "fetch", "-q", url, "refs/heads/old:refs/heads/main")
    alone = ("-c", "maintenance.auto=false", "-c", "gc.auto=0")  # as we run it: nothing is tidied up afterwards
    began = time.perf_counter()
    await run("git", "-C", str(place), *alone, "fetch", "-q", url, "refs/heads/main:refs/heads/main")
    taken = time.perf_counter() - began
    shutil.rmtree(place)
    return taken


async def _collect(bare: Bare, directory: Path, number: int, ends: tuple[str, str], count: int) -> float:
    """Collect the commits into a cache that has those before them: fetch, list, read, and make values of all."""
    cache = GitCache(directory / f"ours-{number}", seconds=time.monotonic, now=time.time)
    places = {_HOST: mirror_place(_HOST, directory=str(directory))}
    git = GitServerReader(runs=GitRuns(), places=places, cache=cache)
    app = SourceRepository(host=_HOST, path="app")
    base, head = ends
    bare.git("update-ref", "refs/heads/main", base)
    await git.between(app, base, base)
    bare.git("update-ref", "refs/heads/main", head)
    began = time.perf_counter()
    found = await git.between(app, base, head)
    values = [commit_value(one) for one in found.objects.values()]
    taken = time.perf_counter() - began
    assert len(values) == count, f"{len(values)} of {count} commits were collected"
    shutil.rmtree(directory / f"ours-{number}")
    return taken
