"""mint with many applications: the program, STUPS's service users over HTTP, and S3 behind a counting proxy.

The S3 calls of a rotation are counted on moto. For many applications a stub of its two calls takes moto's place, which
would be mostly what is waited for; the configuration of the bucket is moto's. The clock is put ahead by the password's
age, so that all passwords are due at once. BENCH_MINT_APPLICATIONS sets how many applications there are.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
from aiohttp import web

from fakes.counted_aws import AwsCall, CountedAws
from fakes.mint_stups import FakeStups
from fakes.signing_authority import SigningAuthority
from landscape.aws import ACCOUNT, REGION, moto_server
from landscape.minting import PATTERN, make_safe_bucket, mint_settings
from landscape.programs import Aggregator, aggregator
from landscape.stepped_clock import step_clock
from landscape.whole import ROOT
from whence_aggregator.mint.rules import MintRules
from whence_common.clock import to_instant, utc_now
from whence_common.runtime.pause import pause

_APPLICATIONS = int(os.environ.get("BENCH_MINT_APPLICATIONS", "10000"))
_COUNTED = 20
_BUCKET = f"many-stups-mint-{ACCOUNT}-{REGION}"
_APP = {"redirect_url": "", "is_client_confidential": True, "s3_buckets": [_BUCKET], "scopes": []}
_USER_SECONDS = 7_200.0
_BOUND_SECONDS = 3_600.0
_LOOK_SECONDS = MintRules().look_seconds_max
_BUCKET_LOOK_SECONDS = MintRules().bucket_look_seconds
_NEEDED = 10_000 / _USER_SECONDS
"""Rotations a second that 10,000 applications need."""
_SLOW_SECONDS = 0.2
_SLOW_MEASURED_SECONDS = 30.0
_CALLERS = 4
_READS = 500
_LISTS = 5
_PROGRESS_SECONDS = 10.0
_WAIT_SECONDS_MAX = 3_600.0


@dataclass
class _QuickObjects:
    """What S3 does for a rotation, in memory: PutObject and ListObjectVersions. `versions` are by key, newest first."""

    versions: dict[str, list[str]] = field(default_factory=dict)

    def install(self, aws: CountedAws) -> None:
        aws.extensions |= {"s3:PutObject": self._put, "s3:ListObjectVersions": self._list}

    def _put(self, call: AwsCall) -> web.Response:
        version, checksum = secrets.token_hex(16), call.headers["x-amz-checksum-sha256"]
        self.versions.setdefault(urlsplit(call.path).path.partition(_BUCKET + "/")[2], []).insert(0, version)
        headers = {"x-amz-version-id": version, "x-amz-checksum-sha256": checksum, "ETag": '"e"'}
        return web.Response(headers=headers)

    def _list(self, call: AwsCall) -> web.Response:
        (key,) = parse_qs(urlsplit(call.path).query)["prefix"]
        rows = "".join(
            f"<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{str(not number).lower()}</IsLatest>"
            "<LastModified>2026-11-27T12:00:00.000Z</LastModified></Version>"
            for number, version in enumerate(self.versions.get(key, []))
        )
        text = f'<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{rows}</ListVersionsResult>'
        return web.Response(text=text, content_type="application/xml")


@dataclass
class _Mint:
    """The program and what it works with."""

    server: Aggregator
    stups: FakeStups
    aws: CountedAws
    ahead: Path
    session: aiohttp.ClientSession

    @property
    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.server.process.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.server.process.process.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2]
        return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")

    def committed(self, since: str = "") -> int:
        """Return how many generations of passwords were committed since a time, of those that have not ended."""
        query = "select count(*) from mint_generation where kind = 'user' and committed_at > ? and ended_at = ''"
        found: int = self._one(query, since)
        return found

    def due(self) -> int:
        """Return how many applications are due to be looked at."""
        now = to_instant(utc_now() + timedelta(seconds=float(self.ahead.read_text(encoding="ascii"))))
        found: int = self._one("select count(*) from task where kind = 'mint' and due_at <= ?", now)
        return found

    def newest(self) -> str:
        found: str = self._one("select coalesce(max(committed_at), '') from mint_generation")
        return found

    def _one(self, query: str, *parameters: str) -> Any:
        with closing(sqlite3.connect(f"file:{self.server.config.parent}/ledger.db?mode=ro", uri=True)) as database:
            return database.execute(query, parameters).fetchone()[0]

    async def ask(self, method: str, path: str, document: object = None) -> float:
        """Return how many milliseconds an answer takes."""
        began = time.perf_counter()
        async with self.session.request(method, self.server.url + path, json=document) as answer:
            await answer.read()
            assert answer.status == 200, (path, answer.status)
        return (time.perf_counter() - began) * 1000

    async def until(self, what: str, count: Callable[[], int], wanted: int) -> float:
        """Wait until as many are counted as wanted, printing how many there are; return the seconds."""
        began = told = time.perf_counter()
        async with asyncio.timeout(_WAIT_SECONDS_MAX):
            while (found := count()) < wanted:
                if time.perf_counter() - told >= _PROGRESS_SECONDS:
                    told = time.perf_counter()
                    told_of = f"  {what}: {found:,} of {wanted:,}, {self.memory_mb:.0f} MB"
                    print(told_of, file=sys.stderr, flush=True)
                await pause(0.25)
        return time.perf_counter() - began


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the S3 calls of a rotation, then rates, memory and the storage API's p99 with many applications."""
    del rounds, limit
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # at the end requests are under way
    (directory / "counted").mkdir()
    async with _running(directory / "counted", is_quick=False) as mint:
        await _count(mint)
    (directory / "many").mkdir()
    async with _running(directory / "many", is_quick=True) as mint:
        await _many(mint)


@asynccontextmanager
async def _running(directory: Path, *, is_quick: bool) -> AsyncIterator[_Mint]:
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    ahead = directory / "ahead"
    step_clock(ahead, 0.0)
    clock = (sys.executable, str(ROOT / "tests" / "landscape" / "stepped_clock.py"), str(ahead))
    async with (
        moto_server(directory) as moto, CountedAws(moto.url).serve() as aws, FakeStups().serve() as stups,
        aggregator(
            directory, directory, authority_pem={REGION: SigningAuthority.make().pem}, within=clock,
            aws_endpoint_url=aws.url, mint=_settings(directory, stups),
            limits={"application_bytes_per_caller": 1e9, "application_bytes_per_team": 1e9},
        ) as server,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"}) as session,
    ):  # fmt: skip
        await asyncio.to_thread(make_safe_bucket, moto, _BUCKET)
        if is_quick:
            _QuickObjects().install(aws)
        yield _Mint(server, stups, aws, ahead, session)


def _settings(directory: Path, stups: FakeStups) -> dict[str, object]:
    for name, secret in (("stups.token", stups.token), ("stups.secret", stups.verifying[1])):
        (directory / name).write_text(secret, encoding="ascii")
        (directory / name).chmod(0o600)
    provider = {
        "type": "stups", "url": stups.url, "token_url": f"{stups.url}/access_token", "private_addresses": True,
        "token_file": str(directory / "stups.token"), "client_id": stups.verifying[0],
        "client_secret_file": str(directory / "stups.secret"),
    }  # fmt: skip
    return dict(
        mint_settings(
            directory, providers={"stups": provider}, user_seconds=_USER_SECONDS, bound_seconds=_BOUND_SECONDS,
            buckets=[{"pattern": PATTERN, "role": "arn:aws:iam::{account_id}:role/whence-mint"}],
        )
    )  # fmt: skip


async def _write(mint: _Mint, numbers: Iterable[int]) -> list[float]:
    """Register applications and have them minted; return the milliseconds of the storage API."""
    taken, waiting = list[float](), iter(numbers)

    async def caller() -> None:
        for number in waiting:
            registered = {"team_id": f"team-{number % 100}", "name": f"Application {number}", "active": True}
            await mint.ask("PUT", f"/apps/app-{number}", registered)
            taken.append(await mint.ask("PUT", f"/mint/apps/app-{number}", _APP))

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    return taken


async def _count(mint: _Mint) -> None:
    """Count what AWS is asked for a rotation, after the bucket was checked, and for the looks of an hour."""
    await _write(mint, range(_COUNTED))
    await mint.until("minted", mint.committed, _COUNTED)
    mint.aws.forget()
    since = mint.newest()
    step_clock(mint.ahead, _USER_SECONDS)
    await mint.until("rotated", lambda: mint.committed(since), _COUNTED)
    counted = Counter(one.action for one in mint.aws.calls if "user.json" in one.path)  # clients are looked at
    each = ", ".join(f"{name} {number / _COUNTED:.2f}" for name, number in counted.most_common())
    print(f"S3 calls for each rotation, on moto: {sum(counted.values()) / _COUNTED:.2f} ({each})", flush=True)
    mint.aws.forget()
    step_clock(mint.ahead, _BUCKET_LOOK_SECONDS * 1.1)
    await mint.until("looked at", lambda: len(mint.aws.calls), 2 * _COUNTED)
    counted = Counter(one.action for one in mint.aws.calls)
    each = ", ".join(f"{name} {number / _COUNTED:.2f}" for name, number in counted.most_common())
    print(f"S3 calls for the looks of {_BUCKET_LOOK_SECONDS:.0f} s, for two objects: {each}", flush=True)


async def _many(mint: _Mint) -> None:
    few = max(_APPLICATIONS // 10, 1)
    before, began = mint.memory_mb, time.perf_counter()
    await _write(mint, range(few))
    await mint.until("minted", mint.committed, few)
    of_few = mint.memory_mb
    taken = await _write(mint, range(few, _APPLICATIONS))
    print(f"PUT /apps/ID while others are minted: {_latency(taken)}", flush=True)
    await mint.until("minted", mint.committed, _APPLICATIONS)
    took = time.perf_counter() - began
    print(f"{_APPLICATIONS:,} applications written and minted, two credentials each: {took:.0f} s", flush=True)
    of_all = mint.memory_mb
    print(
        f"memory: {before:.0f} MB at the start, {of_few:.0f} MB with {few:,}, {of_all:.0f} MB with {_APPLICATIONS:,}:"
        f" ratio {of_all / of_few:.2f}",
        flush=True,
    )
    await _read(mint)
    await _look(mint)
    await _rotate(mint, of_all)
    await _rotate_slowly(mint)


async def _read(mint: _Mint) -> None:
    number = iter(range(0, _APPLICATIONS, max(_APPLICATIONS // _READS, 1)))
    print(f"GET /apps/ID: {_latency([await mint.ask('GET', f'/mint/apps/app-{one}') for one in number])}")
    taken = [await mint.ask("GET", "/mint/apps") for _ in range(_LISTS)]
    print(f"GET /apps, all {_APPLICATIONS:,}: median {statistics.median(taken):.0f} ms, at most {max(taken):.0f} ms")
    print(f"memory after the lists: {mint.memory_mb:.0f} MB", flush=True)


async def _look(mint: _Mint) -> None:
    """Have all applications looked at while nothing is due for them, as each is at least every quarter of an hour."""
    cpu = mint.cpu_seconds
    step_clock(mint.ahead, _LOOK_SECONDS * 1.1)
    took = await mint.until("looked at", lambda: _APPLICATIONS - mint.due(), _APPLICATIONS)
    rate, cpu = _APPLICATIONS / took, mint.cpu_seconds - cpu
    print(
        f"applications looked at: {rate:.0f} a second, {rate / (10_000 / _LOOK_SECONDS):.1f} times what 10,000 need;"
        f" {cpu / _APPLICATIONS * 1000:.1f} ms of a processor each",
        flush=True,
    )


async def _rotate(mint: _Mint, memory_before: float) -> None:
    """Have all passwords due at once, as they never are."""
    since, cpu = mint.newest(), mint.cpu_seconds
    step_clock(mint.ahead, _USER_SECONDS)
    took = await mint.until("rotated", lambda: mint.committed(since), _APPLICATIONS)
    rate, cpu = _APPLICATIONS / took, mint.cpu_seconds - cpu
    print(
        f"all passwords due at once, rotated in {took:.0f} s: {rate:.1f} rotations a second, {rate / _NEEDED:.1f} times"
        f" what 10,000 applications need; {cpu / _APPLICATIONS * 1000:.0f} ms of a processor each",
        flush=True,
    )
    after = mint.memory_mb
    print(f"memory after it: {after:.0f} MB, ratio {after / memory_before:.2f}", flush=True)


async def _rotate_slowly(mint: _Mint) -> None:
    mint.stups.seconds = _SLOW_SECONDS
    since = mint.newest()
    step_clock(mint.ahead, _USER_SECONDS)
    await mint.until("begun", lambda: mint.committed(since), 1)
    began, first = time.perf_counter(), mint.committed(since)
    while time.perf_counter() - began < _SLOW_MEASURED_SECONDS and mint.committed(since) < _APPLICATIONS:
        await pause(0.25)
    rate = (mint.committed(since) - first) / (time.perf_counter() - began)
    print(
        f"a provider that takes {_SLOW_SECONDS * 1000:.0f} ms for each answer: {rate:.1f} rotations a second,"
        f" {rate / _NEEDED:.1f} times what 10,000 applications need",
        flush=True,
    )


def _latency(taken: list[float]) -> str:
    p99 = statistics.quantiles(taken, n=100)[98] if len(taken) > 1 else max(taken)
    return f"median {statistics.median(taken):.1f} ms, p99 {p99:.1f} ms"
