"""Ten thousand violations listed, filtered, sorted and counted by facet, on SQLite and on PostgreSQL."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec

from landscape.postgres import new_database, postgres
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.queries.violations import PUT_VIOLATION, PutViolationParameters
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.moment import Moments
from whence_aggregator.violations.group import Group
from whence_aggregator.violations.listing import GroupedViolations, WantedGroups
from whence_common.clock import to_instant

VIOLATIONS = 10_000
_APPLICATIONS, _TEAMS, _ACCOUNTS = 1_000, 60, 200
_ASKED = 200
_BATCH = 500
_LIMIT_MILLIS = 50.0
_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_WANTED: Mapping[str, WantedGroups] = {
    "listed": WantedGroups(),
    "newest first": WantedGroups(sort="since", descending=True),
    "of a team": WantedGroups(team="team-7"),
    "of a rule and an account": WantedGroups(rules=[RULES[0].id], account="100000000007"),
    "any state": WantedGroups(states=("open", "acknowledged", "exempted", "fixed", "reopened")),
}


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the times of a page with its facets, by what is asked for."""
    database = await SqliteDatabase.open(directory / "violations.db")
    try:
        await _measured("SQLite", database)
    finally:
        await database.close()
    directory.chmod(0o755)
    async with postgres(directory, directory) as dsn:
        served = await PostgresDatabase.open(await new_database(dsn, "violations"))
        try:
            await _measured("PostgreSQL", served)
        finally:
            await served.close()


async def _measured(name: str, database: Database) -> None:
    await fill(database, VIOLATIONS)
    listed = GroupedViolations(database=database, directory=OrganisationDirectory(database))
    moment = await Moments(database=database, now=lambda: _NOW).of()
    for what, wanted in _WANTED.items():
        taken = []
        for _ in range(_ASKED):
            began = time.perf_counter()
            page = await listed.page(wanted, moment=moment, after="", limit=50, facets=True)
            msgspec.json.encode(page)
            taken.append((time.perf_counter() - began) * 1000)
        taken.sort()
        median, p99 = taken[len(taken) // 2], taken[int(len(taken) * 0.99) - 1]
        within = "within" if p99 <= _LIMIT_MILLIS else "OVER"
        print(f"{name}, {VIOLATIONS:,} violations, {what}: median {median:.1f} ms, p99 {p99:.1f} ms, {within} 50 ms")


async def fill(database: Database, count: int) -> None:
    """Store violations as their steps leave them."""
    draw = random.Random(22)
    rows = list(_violations(draw, count))
    for start in range(0, len(rows), _BATCH):
        async with database.transaction() as transaction:
            await transaction.execute(PUT_VIOLATION.bind(rows[start : start + _BATCH]))


def _violations(draw: random.Random, count: int) -> list[PutViolationParameters]:
    found: dict[str, PutViolationParameters] = {}
    while len(found) < count:
        rule, number = draw.choice(RULES), draw.randrange(_APPLICATIONS)
        application, state = f"application-{number}", "fixed" if draw.random() < 0.1 else "open"
        group = Group(rule=rule.id, kind="version", subject=f"{application}@1.{draw.randrange(20)}")
        since = to_instant(_NOW - timedelta(minutes=draw.randrange(100_000)))
        one = StoredViolation(
            id=group.id, rule=rule.id, kind=group.kind, subject=group.subject, application_id=application,
            account_id=f"{100_000_000_000 + number % _ACCOUNTS}", team=f"team-{number % _TEAMS}",
            severity=rule.severity, state=state, first_seen=since, since=since, last_seen=since,
            reason="the image of the instance has no signature that verifies against a trusted key",
            acknowledged_at=since if draw.random() < 0.1 else "",
            detail=msgspec.json.encode(
                {"source": "verdict", "title": rule.title, "remedy": rule.remedy, "tokens": ["ci-of-the-team"]}
            ).decode(),
            ledger_index=len(found),
        )  # fmt: skip
        found[one.id] = cast(PutViolationParameters, asdict(one))
    return list(found.values())
