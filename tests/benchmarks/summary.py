"""Summaries of a million verdicts over HTTP, with coverage and findings: the 99th percentile of each question."""

from __future__ import annotations

import gc
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.clocks import FakeClock
from fakes.coverage import coverage_of
from fakes.in_process import ROOT, InProcess
from fakes.known_caller import called_by
from fakes.signing_authority import SigningAuthority
from whence_aggregator.collect.presence_total import PresenceTotal
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.findings.counting import FindingCounts
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.scanners import Scanner, Scanners
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.summaries import SummaryCalls
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.reports.summary import Summaries
from whence_aggregator.storage.named_queries import load
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.moment import Moments

_ACCOUNTS, _APPLICATIONS, _INSTANCES, _FINDINGS, _TEAMS = 1_000, 3_000, 100_000, 20_000, 100
_KNOWN = [one.id for one in RULES if one.kind == "instance"][:10]
_ASKED = 450
_LIMIT_MILLIS = 100.0
_LAUNCHED = "2026-11-20T12:00:00.000Z"
_QUESTIONS = (
    "", "?by=team", "?by=account", "?by=rule", f"?by=rule&account={7:012}", "?by=rule&team=team-7",
    f"?by=account&rule={_KNOWN[3]}", "?by=team&severity=1", "?by=rule&kind=instance",
    *(f"?by={by}&at=2026-11-10T12:00:00Z" for by in ("team", "account", "rule")),
    "?by=rule&team=team-7&at=2026-11-10T12:00:00Z", "/trend", "/trend?team=team-7", f"/trend?account={7:012}",
)  # fmt: skip
_DAYS, _CHANGING = 30, 20
"""Days with a snapshot, and of how many counts one changes each day."""
Row = tuple[object, ...]


class RunningClock(FakeClock):
    """A clock that goes on, so that what is kept for seconds is read again."""

    def __call__(self) -> datetime:
        return self.moment + timedelta(seconds=time.monotonic() - _BEGAN)


_BEGAN = time.monotonic()


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print how long each question takes."""
    del limit
    path = directory / "ledger.db"
    database = await SqliteDatabase.open(path)
    began = time.perf_counter()
    filled(path)
    print(f"{_INSTANCES * len(_KNOWN):,} verdicts filled in {time.perf_counter() - began:.0f} s", flush=True)
    house = InProcess(database, SigningAuthority.make(), clock=RunningClock())
    application = web.Application(middlewares=[called_by(ROOT)])
    routes = summary_calls(house).routes()
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in routes)
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)  # as the program does
    async with TestClient(TestServer(application)) as client:

        async def ask(question: str) -> int:
            async with client.get(f"/v1/summary{question}") as answer:
                assert answer.status == 200, await answer.text()
                return len(await answer.read())

        for question in _QUESTIONS:
            await _timed(question, ask, _ASKED * rounds // len(_QUESTIONS))
    await database.close()


async def _timed(question: str, ask: Callable[[str], Awaitable[int]], times: int) -> None:
    size, taken, used = await ask(question), list[float](), list[float]()
    for _ in range(times):
        began, used_before = time.perf_counter(), time.process_time()
        await ask(question)
        taken.append((time.perf_counter() - began) * 1000)
        used.append((time.process_time() - used_before) * 1000)
    slowest, most = statistics.quantiles(taken, n=100)[98], statistics.quantiles(used, n=100)[98]
    over = "" if slowest <= _LIMIT_MILLIS else f"; MORE than {_LIMIT_MILLIS:.0f} ms"
    print(
        f"/v1/summary{question}: median {statistics.median(taken):.1f} ms, p99 {slowest:.1f} ms, {size} bytes{over};"
        f" processor time median {statistics.median(used):.1f} ms, p99 {most:.1f} ms",
        flush=True,
    )  # on a machine that others use too, processor time is the better measure


def summary_calls(house: InProcess, presence: PresenceTotal | None = None) -> SummaryCalls:
    accounts = [f"{number:012}" for number in range(_ACCOUNTS)]
    scanners = Scanners(named=(Scanner(product="prowler"),))
    allowed = AllowedAccounts(named=frozenset(accounts), collected=False, database=house.database)
    states = ScannerCoverage(database=house.database, scanners=scanners, accounts=allowed)
    return SummaryCalls(
        database=house.database,
        summaries=Summaries(database=house.database, listening=house.listening, unheard_kept_seconds=30.0),
        coverage=coverage_of(
            house,
            accounts=accounts,
            regions=["eu-central-1"],
            trail=True,
            scanners=states,
            named=["prowler"],
            kept_seconds=5.0,
        ),
        moments=Moments(database=house.database, now=house.clock),
        findings=FindingCounts(database=house.database, scanners=scanners, states=states, now=house.clock),
        presence=presence,
    )


def filled(path: Path) -> None:
    """Write the rows that a fleet leaves: each account is of a team, and each application runs in one account."""
    with sqlite3.connect(path) as database:
        database.executemany(
            "insert into application_span values (?, 1, 1, 4611686018427387904, ?, '', 1, '')",
            ((f"app-{n}", f"team-{n % _TEAMS}") for n in range(_APPLICATIONS)),
        )
        database.executemany(
            "insert into facets values (?, ?, 'eu-central-1', ?, '1.0', '', ?, '')",
            ((n + 1, f"{n % _ACCOUNTS:012}", f"app-{n}", f"sha256:{n:064}") for n in range(_APPLICATIONS)),
        )
        database.executemany(
            "insert into instance (number, instance_id, account_id, region, enrolment, sequence, ledger_index,"
            " observed_at, cause, facets, judged, base, life) values (?, ?, ?, 'eu-central-1', 1, 1, ?, 0, 'boot', ?,"
            " ?, -1, 'running')",
            ((n + 1, f"i-{n:017x}", f"{n % _ACCOUNTS:012}", n, n % _APPLICATIONS + 1, n) for n in range(_INSTANCES)),
        )
        database.executemany(
            "insert into inventory values (?, 'eu-central-1', ?, 'running', ?, '', 0, 0, '')",
            ((f"{n % _ACCOUNTS:012}", f"i-{n:017x}", _LAUNCHED) for n in range(_INSTANCES)),
        )
        database.executemany(
            "insert into listing (account_id, region, begun_at, listed_at, instances, failure)"
            " values (?, 'eu-central-1', 0, 1795348800000, 100, '')",
            ((f"{n:012}",) for n in range(_ACCOUNTS)),
        )
        database.executemany("insert into verdict values ('instance', ?, ?, 1, ?, '', ?, ?)", _verdicts())
        database.executemany(
            "insert into verdict_count values (?, ?, 'instance', ?, 20, 9, 4, 0)",
            ((f"{n % _ACCOUNTS:012}", f"app-{n}", rule) for n in range(_APPLICATIONS) for rule in ("", *_KNOWN)),
        )
        for scope, name in (("rule", "rule"), ("account", "account_id"), ("application", "application_id")):
            database.execute(
                f"insert into verdict_total select '{scope}', {name}, subject_kind, case when rule = '' then 1 else 0 end,"
                f" sum(passed), sum(failed), sum(unknown), sum(folded) from verdict_count group by {name}, subject_kind,"
                " case when rule = '' then 1 else 0 end"
            )
        _fill_days(database)
        database.executemany(
            "insert into finding values (?, 'prowler', ?, ?, 4611686018427387904, 'c', 2, 'fail', '', 0, 0, '', '', '',"
            " '', '2026-11-22T11:00:00.000Z', '', '', 1, '{}')",
            ((f"{n % _ACCOUNTS:012}", f"f-{n}", n) for n in range(_FINDINGS)),
        )
        database.executemany(
            "insert into finding_report values (?, 'prowler', '', ?, '2026-11-22T11:00:00.000Z', 1)",
            ((f"{n:012}", n) for n in range(_ACCOUNTS)),
        )


def _fill_days(database: sqlite3.Connection) -> None:
    """Write snapshots: the first states every count, each later one those that changed."""
    days = [(datetime(2026, 10, 23, tzinfo=UTC) + timedelta(days=n)).date().isoformat() for n in range(_DAYS)]
    queries = load("sqlite")
    database.executemany(
        "insert into summary_day values (?, ? || 'T00:05:00.000Z', ?)", ((day, day, n) for n, day in enumerate(days))
    )
    for number, day in enumerate(days):
        database.execute(
            "insert into summary_count select account_id, application_id, subject_kind, rule, ?1, ?2, passed + ?2 % 3,"
            " failed, unknown, folded from verdict_count where ?2 = 0 or (unicode(substr(application_id, -1))"
            " + length(rule) * 7 + ?2) % ?3 = 0",
            (day, number, _CHANGING),
        )
        for command in ("add_summary_totals", "end_summary_totals"):
            database.execute(queries[command], {"day": day})


def _verdicts() -> Iterator[Row]:
    for number in range(_INSTANCES):
        for place, rule in enumerate(_KNOWN):
            outcome = ("pass", "pass", "fail", "unknown")[(number + place) % 4]
            yield number + 1, rule, outcome, _LAUNCHED, number
