"""Violations by findings that move while they are followed: whatever arrives meanwhile, no step states what ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.test_findings import SCANNERS, Asked, served
from fakes.findings import ACCOUNT, ocsf
from fakes.in_process import OTHER_ACCOUNT, InProcess
from whence_aggregator.findings.listing import Findings, WantedFindings
from whence_aggregator.findings.violations import FindingViolation, finding_violations
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.projections.violation_rows import StoredViolation, stored_by_id
from whence_aggregator.queries.query import array
from whence_aggregator.queries.violations import VIOLATIONS_NAMED
from whence_aggregator.violations.group import ACCOUNT as OF_ACCOUNT
from whence_aggregator.violations.group import Group
from whence_aggregator.violations.observing import Observing
from whence_aggregator.violations.recording import ViolationRecorder
from whence_aggregator.wiring.violations import rules_shown
from whence_common.ledger_entry import type_of

RULE = "prowler/bucket_public"
Meanwhile = Callable[[], Awaitable[None]]


class Followed:
    """Replicas that follow findings, and what arrives after each of their readings."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.house = asked, asked.house
        self.meanwhile: list[Meanwhile] = []
        self.readings = 0
        self._seconds = 0
        self.replicas = [self._replica(), self._replica()]

    def _replica(self) -> ViolationRecorder:
        directory = OrganisationDirectory(self.house.database)
        findings = Findings(database=self.house.database, directory=directory, scanners=SCANNERS)

        async def read() -> Sequence[FindingViolation]:
            found = await finding_violations(findings, WantedFindings(), now=self.house.clock())
            self.readings += 1
            if self.meanwhile:
                await self.meanwhile.pop(0)()
            return found

        observing = Observing(
            database=self.house.database, directory=directory, rule_of=rules_shown(), findings=read, never_spoken=None
        )  # fmt: skip
        return ViolationRecorder(
            database=self.house.database, ledger=self.house.ledger, observing=observing, now=self.house.clock
        )  # fmt: skip

    async def report(self, result: str, *, uid: str = "f-1", account: str = ACCOUNT) -> None:
        self._seconds += 1
        at = f"2026-11-22T10:{self._seconds // 60:02}:{self._seconds % 60:02}Z"
        found = ocsf(uid, result=result, at=at, cloud={"account": {"uid": account}})
        await self.asked.push(found, token="both")

    async def violation(self, account: str = ACCOUNT) -> StoredViolation | None:
        name = Group(rule=RULE, kind=OF_ACCOUNT, subject=account).id
        rows = await self.house.database.fetch(VIOLATIONS_NAMED.bind({"ids": array([name])}))
        return stored_by_id(rows).get(name)

    async def steps(self) -> list[str]:
        return [type_of(one.content or b"")[2]["step"] for one in await self.house.entries("violation-step")]


@pytest.fixture
async def followed(house: InProcess) -> AsyncIterator[Followed]:
    async with served(house) as asked:
        yield Followed(asked)


async def test_a_finding_that_is_fixed_while_it_is_read_opens_no_violation(followed: Followed) -> None:
    await followed.report("FAIL")
    followed.meanwhile.append(lambda: followed.report("PASS"))
    await followed.replicas[0].follow_all()
    assert (await followed.violation(), await followed.steps(), followed.readings) == (None, [], 2)


async def test_a_violation_that_another_replica_has_fixed_meanwhile_is_not_reopened(followed: Followed) -> None:
    await followed.report("FAIL")
    await followed.replicas[0].follow_all()

    async def fixed_and_followed() -> None:
        await followed.report("PASS")
        await followed.replicas[1].follow_all()

    followed.meanwhile.append(fixed_and_followed)
    await followed.replicas[0].follow_all()
    assert await followed.steps() == ["opened", "fixed"]


async def test_a_fault_that_is_back_while_its_pass_was_read_is_not_fixed(followed: Followed) -> None:
    await followed.report("FAIL")
    await followed.replicas[0].follow_all()
    await followed.report("PASS")
    followed.meanwhile.append(lambda: followed.report("FAIL"))
    await followed.replicas[0].follow_all()
    assert await followed.steps() == ["opened"]


async def test_reports_about_another_account_hold_up_no_violation(followed: Followed) -> None:
    await followed.report("FAIL")
    followed.meanwhile.append(lambda: followed.report("FAIL", account=OTHER_ACCOUNT))
    await followed.replicas[0].follow_all()
    assert (await followed.steps(), followed.readings) == (["opened"], 1)


async def test_a_scanner_that_reports_all_the_time_holds_up_its_violation_for_three_readings(
    followed: Followed,
) -> None:
    await followed.report("FAIL")
    followed.meanwhile += [lambda: followed.report("FAIL", uid="f-2")] * 9
    await followed.replicas[0].follow_all()
    assert (await followed.steps(), followed.readings) == (["opened"], 3)


RESULTS = st.lists(st.sampled_from(["FAIL", "PASS"]), min_size=1, max_size=2)


@given(st.lists(st.tuples(st.sampled_from([0, 1]), RESULTS), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_however_reports_and_replicas_interleave_no_step_states_what_had_ended(
    followed: Followed, rounds: list[tuple[int, list[str]]]
) -> None:
    for replica, results in rounds:
        followed.meanwhile += [partial(followed.report, one) for one in results]
        await followed.replicas[replica].follow_all()
        await followed.replicas[1 - replica].follow_all()
        await followed.replicas[replica].follow_all()
        found = await followed.violation()
        assert (found is not None and found.is_open) == (results[-1] == "FAIL")
    result = ""
    for one in sorted(
        [*await followed.house.entries("findings"), *await followed.house.entries("violation-step")],
        key=lambda each: each.ledger_index,
    ):
        stated = type_of(one.content or b"")[2]
        if one.kind == "findings":
            result = stated["findings"][-1]["result"] if stated["findings"] else result
        elif stated["step"] in ("opened", "reopened", "fixed"):
            assert (stated["step"] == "fixed") == (result == "pass"), one.ledger_index
