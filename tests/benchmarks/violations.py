"""Ten thousand violations listed, filtered, sorted and counted by facet, on SQLite and on PostgreSQL."""

from __future__ import annotations

import gc
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import msgspec

from landscape.postgres import new_database, postgres
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.fullstop.listing import FullstopFilters, ViolationLists, WantedPage
from whence_aggregator.fullstop.served import page_wire, violation_wire
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.projections.violation_rows import StoredViolation, stored_violation, violation_row
from whence_aggregator.queries.agents import (
    ADD_FACETS,
    MOVE_INSTANCE,
    AddFacetsParameters,
    MoveInstanceParameters,
)
from whence_aggregator.queries.compliance import SET_VERDICT, SetVerdictParameters
from whence_aggregator.queries.query import BoundCommand, array
from whence_aggregator.queries.violations import (
    PUT_VIOLATION,
    VIOLATIONS_MOVED,
    VIOLATIONS_NAMED,
    PutViolationParameters,
)
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.moment import Moments
from whence_aggregator.violations.group import Group
from whence_aggregator.violations.kept import KeptViolations
from whence_aggregator.violations.listing import GroupedViolations, WantedGroups
from whence_aggregator.violations.members import GroupMembers
from whence_common.clock import to_instant

VIOLATIONS = 10_000
_APPLICATIONS, _TEAMS, _ACCOUNTS = 1_000, 60, 200
_INSTANCES_EACH = 3
"""Instances of each version, that break the same rules."""
_PASSES_EACH = 20
_ASKED = 200
_BATCH = 500
_LIMIT_MILLIS = 50.0
_NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
_WANTED: Mapping[str, WantedGroups] = {
    "listed": WantedGroups(),
    "newest first": WantedGroups(sort="since", descending=True),
    "of a team": WantedGroups(team="team-7"),
    "of a rule and an account": WantedGroups(rules=[RULES[0].id], account="100000000007"),
    "of an instance": WantedGroups(instance="i-00000000000000007"),
    "any state": WantedGroups(states=("open", "acknowledged", "exempted", "fixed", "reopened")),
}


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the times of a page with its facets, by what is asked for."""
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)  # as the program does
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
    listed = GroupedViolations(
        database=database, directory=OrganisationDirectory(database), members=GroupMembers(database=database)
    )
    moment = await Moments(database=database, now=lambda: _NOW).of()
    for what, wanted in _WANTED.items():
        asked = partial(listed.page, wanted, moment=moment, after="", limit=50, facets=True)
        await _timed(f"{name}, {VIOLATIONS:,} violations, {what}", asked)
    asked = partial(listed.page, WantedGroups(), moment=moment, after="", limit=50, facets=True)
    await _timed(
        f"{name}, {VIOLATIONS:,} violations, listed after a step of one", asked, between=partial(_step, database)
    )
    types = ViolationTypes(RULES)
    lists = ViolationLists(
        database=database, members=GroupMembers(database=database), kept=KeptViolations(database), types=types,
        now=lambda: _NOW,
    )  # fmt: skip

    async def by_fullstop() -> object:
        found, total = await lists.page(FullstopFilters(), WantedPage(size=50, sort=[("id", False)]))
        return page_wire([violation_wire(one, types) for one in found], total=total, number=0, size=50, sort=[])

    await _timed(f"{name}, {VIOLATIONS:,} violations, as stups-fullstop lists them", by_fullstop)


_steps = itertools.count(VIOLATIONS)


async def _step(database: Database) -> None:
    """Let a violation move, so that nothing that is kept of lists answers."""
    async with database.transaction() as transaction:
        (row,) = await transaction.fetch(VIOLATIONS_MOVED.bind({"after": -1, "limit": 1}))
        (one,) = await transaction.fetch(VIOLATIONS_NAMED.bind({"ids": array([row["id"]])}))
        moved = replace(stored_violation(one), ledger_index=next(_steps))
        await transaction.execute(PUT_VIOLATION.bind([violation_row(moved)]))


async def _nothing() -> None:
    """Move nothing."""


async def _timed(
    what: str, ask: Callable[[], Awaitable[object]], between: Callable[[], Awaitable[None]] = _nothing
) -> None:
    await ask()
    taken, used = list[float](), list[float]()
    for _ in range(_ASKED):
        await between()
        began, used_before = time.perf_counter(), time.process_time()
        msgspec.json.encode(await ask())
        taken.append((time.perf_counter() - began) * 1000)
        used.append((time.process_time() - used_before) * 1000)
    (median, p99), (used_median, used_p99) = (_quantiles(some) for some in (taken, used))
    within = "within" if p99 <= _LIMIT_MILLIS else "OVER"
    print(
        f"{what}: median {median:.1f} ms, p99 {p99:.1f} ms, {within} 50 ms;"
        f" processor time without the server's median {used_median:.1f} ms, p99 {used_p99:.1f} ms",
        flush=True,
    )  # on a machine that others use too, processor time is the better measure


def _quantiles(taken: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    found = sorted(taken)
    return found[len(found) // 2], found[int(len(found) * 0.99) - 1]


async def fill(database: Database, count: int) -> None:
    """Store violations as their steps leave them, and instances of their versions with the verdicts that they rest on."""
    draw = random.Random(22)
    rows = _violations(draw, count)
    versions = sorted({row["subject"] for row in rows})
    numbers = {name: number for number, name in enumerate(versions, start=1)}
    writes: list[BoundCommand] = [PUT_VIOLATION.bind(rows)]
    writes += [ADD_FACETS.bind([_facets(number, name) for name, number in numbers.items()])]
    members = [(number, of * len(versions) + number) for number in numbers.values() for of in range(_INSTANCES_EACH)]
    writes += [MOVE_INSTANCE.bind([_instance(number, facets) for facets, number in members])]
    verdicts: list[SetVerdictParameters] = []
    for row in rows:
        for of in range(_INSTANCES_EACH):
            subject = of * len(versions) + numbers[row["subject"]]
            verdicts.append(_verdict(subject, row["rule"], "pass" if row["state"] == "fixed" else "fail"))
    broken = {(one["subject"], one["rule"]) for one in verdicts}
    passed = [(number, rule.id) for _, number in members for rule in draw.sample(RULES, _PASSES_EACH)]
    verdicts += [_verdict(number, rule, "pass") for number, rule in passed if (number, rule) not in broken]
    writes += [SET_VERDICT.bind(verdicts)]
    for write in writes:
        for start in range(0, len(write.rows), _BATCH):
            async with database.transaction() as transaction:
                await transaction.execute(BoundCommand(write.name, write.rows[start : start + _BATCH]))


def _facets(number: int, subject: str) -> AddFacetsParameters:
    application, _, version = subject.partition("@")
    return {
        "number": number, "account_id": _account(application), "region": "eu-central-1", "application_id": application,
        "application_version": version, "user_data_digest": "", "image_digest": f"sha256:{number}", "other_digests": "",
    }  # fmt: skip


def _instance(number: int, facets: int) -> MoveInstanceParameters:
    return {
        "number": number, "instance_id": f"i-{number:017x}", "account_id": "100000000000", "region": "eu-central-1",
        "enrolment": 1, "sequence": 1, "ledger_index": number, "observed_at": 1, "cause": "boot", "facets": facets,
        "judged": number, "base": -1, "spoke_at": 1, "life": "running", "life_index": number,
    }  # fmt: skip


def _verdict(subject: int, rule: str, verdict: str) -> SetVerdictParameters:
    return {
        "subject_kind": "instance", "subject": subject, "rule": rule, "rule_version": 1, "verdict": verdict,
        "reason": "the image has no signature that verifies", "since": to_instant(_NOW), "ledger_index": 1,
    }  # fmt: skip


def _account(application: str) -> str:
    return f"{100_000_000_000 + int(application.rpartition('-')[2]) % _ACCOUNTS}"


def _violations(draw: random.Random, count: int) -> list[PutViolationParameters]:
    found: dict[str, PutViolationParameters] = {}
    while len(found) < count:
        rule, number = draw.choice(RULES), draw.randrange(_APPLICATIONS)
        application, state = f"application-{number}", "fixed" if draw.random() < 0.1 else "open"
        group = Group(rule=rule.id, kind="version", subject=f"{application}@1.{draw.randrange(20)}")
        if group.id in found:
            continue
        since = to_instant(_NOW - timedelta(minutes=draw.randrange(100_000)))
        one = StoredViolation(
            id=group.id, number=len(found) + 1, rule=rule.id, kind=group.kind, subject=group.subject, application_id=application,
            account_id=_account(application), team=f"team-{number % _TEAMS}",
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
