"""whence-accounts on many accounts, then beside Seven Seconds: calls, writes, time and memory, on the same emulator.

First a plan of BENCH_ACCOUNTS fresh accounts in three regions, and of a tenth of them. Then both programs configure
BENCH_ACCOUNTS_BESIDE fresh accounts from the same file of version 10, twice, and once more as a dry run, each on an
emulator of its own. The emulator is one process, and mostly what is waited for: its CPU time is printed too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.peers_programs import installed
from benchmarks.peers_runs import Took, cpu_seconds, run_to_end, tree_of
from fakes.account_extensions import speak_what_moto_lacks
from fakes.account_world import new_account_id
from fakes.aws_identity import IdentityOfAccounts
from fakes.aws_routes import RepeatedRoutes
from fakes.counted_aws import CountedAws
from fakes.stups_login import StupsLogin, token
from fakes.version10 import ADMIN, images, prepare, version10
from landscape.aws import moto_server
from landscape.whole import ROOT

_ACCOUNTS = int(os.environ.get("BENCH_ACCOUNTS", "100"))
_BESIDE = int(os.environ.get("BENCH_ACCOUNTS_BESIDE", "20"))
_REGIONS = ("eu-west-1", "eu-central-1", "us-east-1")
_WHOLE = ROOT / "tests" / "data" / "accounts" / "whole.yaml"
_PROGRESS_SECONDS = 15.0
_CALLS_RATIO_MAX = 1.0
_SECONDS_RATIO_MAX = 0.1
_RUNS = {"first run": (), "second run": (), "dry run": ("--dry-run",)}
"""Of both programs, one after another, with the options of each."""
_OURS = Path(sys.executable).with_name("whence-accounts")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run of a program, with what the emulator used of a processor during it."""

    took: Took
    writes: Counter[str]
    emulator_seconds: float

    @property
    def calls(self) -> int:
        return sum(self.took.calls.values())

    def row(self, name: str, accounts: int) -> str:
        took, writes = self.took, sum(self.writes.values())
        return (
            f"{name:<26}{self.calls:>8,}{self.calls / accounts:>9.1f}{writes:>8,}{took.wall_seconds:>9.1f}"
            f"{took.cpu_seconds:>9.1f}{took.rss_mb:>9.0f}{self.emulator_seconds / took.wall_seconds:>9.0%}"
        )


_HEAD = f"{'':<26}{'calls':>8}{'/account':>9}{'writes':>8}{'wall s':>9}{'CPU s':>9}{'RSS MB':>9}{'emulator':>9}"


@dataclass
class _World:
    """An emulator behind the counting proxy, and the folder where programs run."""

    aws: CountedAws
    emulator_pid: int
    directory: Path
    _number: int = field(default=0)

    async def run(self, *command: str | Path) -> _Run:
        self.aws.forget()
        self._number += 1
        before = cpu_seconds([self.emulator_pid])
        took = await self._reported(
            run_to_end(command, self.aws.url, self.directory / f"run-{self._number}", seconds_max=1_800)
        )
        calls = list(self.aws.calls)
        return _Run(
            took=replace(took, calls=Counter(one.name for one in calls)),
            writes=Counter(one.name for one in calls if one.is_write),
            emulator_seconds=cpu_seconds([self.emulator_pid]) - before,
        )  # fmt: skip

    async def _reported(self, run: Coroutine[Any, Any, Took]) -> Took:
        """Print how many calls a run has made so far, on stderr, until it has ended."""
        task = asyncio.create_task(run)
        while not (await asyncio.wait({task}, timeout=_PROGRESS_SECONDS))[0]:
            print(f"  run {self._number}: {len(self.aws.calls):,} calls so far", file=sys.stderr, flush=True)
        return task.result()


@asynccontextmanager
async def _world(directory: Path, name: str) -> AsyncIterator[_World]:
    home = directory / name
    home.mkdir()
    async with moto_server(home, amis=images(home)) as moto, CountedAws(moto.url).serve() as aws:
        speak_what_moto_lacks(aws)
        aws.extensions |= IdentityOfAccounts().extensions
        RepeatedRoutes().install(aws)
        pid = next(one for one in tree_of(os.getpid()) if "moto.server" in " ".join(_command(one)))
        yield _World(aws, pid, home)


def _command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")


def _named(accounts: int) -> dict[str, str]:
    return {ADMIN: new_account_id(), **{f"team-{number}": new_account_id() for number in range(1, accounts)}}


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print plans of many accounts and their growth, then a row for each run of both programs, and ratios."""
    del rounds, limit
    print(f"plans of {max(_ACCOUNTS // 10, 1)} and {_ACCOUNTS} accounts", flush=True)
    few, many = [await _planned(directory, accounts) for accounts in (max(_ACCOUNTS // 10, 1), _ACCOUNTS)]
    growth = (
        f"calls {_growth(few.calls, many.calls)}, CPU seconds {_growth(few.took.cpu_seconds, many.took.cpu_seconds)},"
        f" wall time {_growth(few.took.wall_seconds, many.took.wall_seconds)}"
    )
    print(f"per account, {_ACCOUNTS} accounts to a tenth of them: {growth}", flush=True)
    ids = _named(_BESIDE)
    print(f"{_BESIDE} accounts in one region, configured from a file of version 10\n{_HEAD}", flush=True)
    theirs = await _sevenseconds(directory, ids)
    ours = await _ours(directory, ids)
    for name in _RUNS:
        print(f"ratios of the {name}: {_ratios(ours[name], theirs[name])}")
    first, theirs_first = ours["first run"], theirs["first run"]
    _judge("calls of the first run", first.calls / theirs_first.calls, _CALLS_RATIO_MAX)
    _judge("its wall time", first.took.wall_seconds / theirs_first.took.wall_seconds, _SECONDS_RATIO_MAX)
    for name in ("second run", "dry run"):
        print(f"writes of the {name}, ours {sum(ours[name].writes.values())}: {dict(ours[name].writes)}")


def _growth(few: float, many: float) -> str:
    return f"{many / _ACCOUNTS / (few / max(_ACCOUNTS // 10, 1)):.2f}"


def _ratios(mine: _Run, theirs: _Run) -> str:
    return (
        f"calls {mine.calls / theirs.calls:.2f}, writes {mine.writes.total() / max(theirs.writes.total(), 1):.2f},"
        f" wall time {mine.took.wall_seconds / theirs.took.wall_seconds:.2f},"
        f" CPU seconds {mine.took.cpu_seconds / theirs.took.cpu_seconds:.2f},"
        f" memory {mine.took.rss_mb / theirs.took.rss_mb:.2f}"
    )


def _judge(what: str, ratio: float, most: float) -> None:
    print(f"{what}: {ratio:.2f} of theirs (at most {most:g}): {'kept' if ratio <= most else 'NOT KEPT'}")


async def _planned(directory: Path, accounts: int) -> _Run:
    """Plan fresh accounts in three regions with the whole configuration."""
    async with _world(directory, f"plan-{accounts}") as world:
        path = world.directory / "a.yaml"
        path.write_text(_whole(_named(accounts)), encoding="utf-8")
        run = await world.run(_OURS, "plan", "-c", path, "-o", world.directory / "p.json")
    assert run.took.exit_code == 2, run.took.output[-2_000:]
    assert not run.writes
    if accounts != _ACCOUNTS:
        print(f"a plan of accounts in {len(_REGIONS)} regions, each read for the first time\n{_HEAD}")
    print(run.row(f"{accounts} accounts", accounts), flush=True)
    return run


def _whole(ids: Mapping[str, str]) -> str:
    """Return a configuration that states for every account what the whole one states for `hello`, in our regions.

    Images and a parent zone, which other accounts would have, are left out.
    """
    document = yaml.safe_load(_WHOLE.read_text(encoding="utf-8"))
    section = {**document.pop("accounts")["hello"], "regions": list(_REGIONS), "admin_account": None}
    section["vpc_net"] = {
        region: {"cidr": f"10.{number}.0.0/16", "zones": [f"{region}a", f"{region}b"]}
        for number, region in enumerate(_REGIONS, start=1)
    }
    del section["ami_sharing"]
    accounts = {name: {**section, "id": one} for name, one in ids.items()}
    return yaml.safe_dump({**document, "accounts": accounts}, sort_keys=False)


async def _sevenseconds(directory: Path, ids: Mapping[str, str]) -> dict[str, _Run]:
    program = await installed("sevenseconds") / "sevenseconds"
    async with _configured(directory, "sevenseconds", ids) as (world, file):
        return await _runs(world, len(ids), "sevenseconds", program, "configure", "--token", token(), file, ".*")


async def _ours(directory: Path, ids: Mapping[str, str]) -> dict[str, _Run]:
    async with _configured(directory, "whence-accounts", ids) as (world, file):
        return await _runs(world, len(ids), "whence-accounts", _OURS, "configure", file, "*")


@asynccontextmanager
async def _configured(directory: Path, name: str, ids: Mapping[str, str]) -> AsyncIterator[tuple[_World, Path]]:
    """Give a world and the configuration that both programs read: only the login's port differs."""
    async with _world(directory, name) as world:
        keys = await asyncio.to_thread(prepare, world.aws, ids)
        async with StupsLogin(ids=ids, keys=keys).serve() as login:
            path = world.directory / "config.yaml"
            path.write_text(version10(ids, section=login.section), encoding="utf-8")
            yield world, path


async def _runs(world: _World, accounts: int, name: str, *command: str | Path) -> dict[str, _Run]:
    found = {}
    for label, options in _RUNS.items():
        found[label] = await world.run(*command, *options)
        print(found[label].row(f"{name}, {label}", accounts), flush=True)
        if found[label].took.exit_code not in (0, 2 if options else 0):
            print(f"  exit {found[label].took.exit_code}: {found[label].took.output[-1_500:]}")
    return found
