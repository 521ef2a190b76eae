"""A backlog that another process judges enters the log as if it was judged here, whatever happens to that process."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fakes.clocks import FakeClock
from fakes.in_process import InProcess
from fakes.machine import COMMIT
from fakes.signing_authority import SigningAuthority
from whence_aggregator.adapters.judge_process import IDLE_SECONDS, JudgeProcess
from whence_aggregator.approvals.people import KnownPeople
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.compliance.evaluate import Evaluator
from whence_aggregator.compliance.own.recorded import RecordedRules
from whence_aggregator.compliance.own.rule_file import RuleInFile
from whence_aggregator.compliance.own.rules import OwnRule
from whence_aggregator.compliance.rule import SETTING_OF_SOURCE
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.wiring.judging import TracedBy, load_judge_process
from whence_aggregator.wiring.rules import load_evaluator
from whence_common.ledger_entry import kind_of

AUTHORITY = SigningAuthority.make()
MACHINES = 40
RULES = RulesInForce.of(
    RuleSettings(regions=("eu-west-1",), instance_days_max=30, builder_levels={"ci": 3}, slsa_levels={"1": 3}),
    tuple(SETTING_OF_SOURCE),
)
POLICY = ApprovalPolicy(
    required=("deploy",), own_types=("deploy",), teams={"deploy": ("ops",)},
    people=KnownPeople.of([], ["example.org"]),
)  # fmt: skip
TRACKERS = KnownTrackers(
    by_host={
        "git.example.org": KnownTracker(
            host="git.example.org", type="gitea", reviews=True, repositories={"a/b": ("1",)}
        )
    }
)
BY = TracedBy(approvals=POLICY, trackers=TRACKERS, git_hosts=frozenset({"git.example.org"}))


async def house_of(path: Path) -> InProcess:
    return InProcess(
        await SqliteDatabase.open(path), AUTHORITY, rules=RULES, approvals=POLICY, trackers=TRACKERS,
        git_hosts=frozenset({"git.example.org"}),
    )  # fmt: skip


@pytest.fixture
async def spoken(tmp_path: Path) -> Path:
    """Give a database of instances that have stated what they run, some of them twice, and are not judged."""
    path = tmp_path / "spoken.db"
    house = await house_of(path)
    house.sources.commits[COMMIT] = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: greet"
    async with house.running():
        await house.register()
        for number in range(MACHINES):
            machine = await house.machine(f"i-{number:017x}")
            await house.say(machine)
            if number % 7 == 0:
                await house.say(machine)
        await house.worker.work()
    await house.database.close()  # type: ignore[attr-defined]  # it is SQLite's
    return path


async def judged(path: Path, elsewhere: Callable[[InProcess], JudgeProcess | None]) -> tuple[list[dict[str, Any]], int]:
    """Return what a copy's judgement states of instances, without its place in the log; and the process's failures.

    The places differ: other subjects are judged at other times.
    """
    house = await house_of(path)
    await house.ledger.start()
    before, process = await house.reader.size(), elsewhere(house)
    evaluator: Evaluator = load_evaluator(
        house.database, house.ledger, house.tracer, house.listening, RULES, now=house.clock, trackers=TRACKERS,
        elsewhere=process,
    )  # fmt: skip
    while await evaluator.work():
        pass
    past = await house.reader.size()
    found = [kind_of(one.content or b"")[1] async for one in house.reader.entries(before, past)]
    stated = [one for one in found if one.get("subject", {}).get("kind") == "instance"]
    for one in stated:
        one.get("evidence", {}).pop("ledger_index", None)
    await evaluator.close()
    await house.database.close()  # type: ignore[attr-defined]  # it is SQLite's
    return stated, process.failures if process is not None else 0


def copied(spoken: Path, tmp_path: Path, name: str) -> Path:
    return Path(shutil.copy(spoken, tmp_path / name))


def children() -> list[int]:
    return [
        int(pid)
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
        if b"wiring.judging" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def process_of(path: Path, house: InProcess) -> JudgeProcess:
    process = load_judge_process(f"sqlite://{path}", BY, RULES, house.listening, wanted=True)
    assert process is not None
    return process


async def test_a_backlog_judged_elsewhere_enters_the_log_as_if_it_was_judged_here(spoken: Path, tmp_path: Path) -> None:
    here, there = copied(spoken, tmp_path, "here.db"), copied(spoken, tmp_path, "there.db")
    expected, _ = await judged(here, lambda _: None)
    found, failures = await judged(there, lambda house: process_of(there, house))
    assert (found, failures) == (expected, 0)
    assert len(found) == 2 * MACHINES, "an entry with the evidence, and one with the verdicts"
    assert {one["verdict"] for each in found for one in each.get("verdicts", ())} == {"fail", "pass", "unknown"}
    assert children() == []


async def test_a_backlog_is_judged_here_when_the_process_ends(spoken: Path, tmp_path: Path) -> None:
    here, there = copied(spoken, tmp_path, "here.db"), copied(spoken, tmp_path, "there.db")
    expected, _ = await judged(here, lambda _: None)

    def ending(house: InProcess) -> JudgeProcess:
        return JudgeProcess(by=b"", module="whence_aggregator.no_such_module", listening=house.listening)

    found, failures = await judged(there, ending)
    assert found == expected
    assert failures > 0


async def test_a_page_that_the_process_cannot_judge_is_judged_here(spoken: Path, tmp_path: Path) -> None:
    here, there = copied(spoken, tmp_path, "here.db"), copied(spoken, tmp_path, "there.db")
    expected, _ = await judged(here, lambda _: None)
    other = tmp_path / "empty.db"
    await (await SqliteDatabase.open(other)).close()
    found, failures = await judged(there, lambda house: process_of(other, house))
    assert (found, failures) == (expected, 0), "nothing is recorded of what another database does not have"


async def test_it_fails_once_and_is_not_asked_for_a_while(spoken: Path, tmp_path: Path) -> None:
    path, at = copied(spoken, tmp_path, "ledger.db"), [0.0]
    house = await house_of(path)
    whole = process_of(path, house)
    process = JudgeProcess(by=whole._by, module=whole._module, listening=house.listening, monotonic=lambda: at[0])
    now = datetime(2026, 11, 22, tzinfo=UTC)
    page = await process.page([f"i-{0:017x}"], now)
    assert page is not None
    assert [one.instance for one in page.judged] == [f"i-{0:017x}"]
    (first,) = children()
    os.kill(first, signal.SIGKILL)
    assert [await process.page([f"i-{0:017x}"], now) for _ in range(3)] == [None] * 3
    assert (process.failures, children()) == (1, [])
    at[0] += 61
    assert await process.page([f"i-{0:017x}"], now) is not None
    await process.rest()
    assert len(children()) == 1
    at[0] += IDLE_SECONDS
    await process.rest()
    assert children() == []
    await house.database.close()  # type: ignore[attr-defined]  # it is SQLite's


def test_an_operator_may_have_everything_judged_in_the_server() -> None:
    listening = Listening(FakeClock(), silent_after_seconds=300)
    assert load_judge_process("sqlite:///x", BY, RULES, listening, wanted=False) is None


def test_users_rules_are_judged_in_the_server() -> None:
    source = RuleInFile(
        id="own-known", title="Known", severity=3, rationale="r", remedy="r", kind="instance", pass_when="true", examples=[],
    )  # fmt: skip
    own = RulesInForce.of(recorded=RecordedRules(own=(OwnRule.of(source),)))
    listening = Listening(FakeClock(), silent_after_seconds=300)
    assert load_judge_process("sqlite:///x", BY, own, listening, wanted=True) is None
