"""Users' rules judge as built-in ones do: recorded with their source, replayed from the log, switched off, removed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from fakes.clocks import FakeClock
from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST
from fakes.signing_authority import SigningAuthority
from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.compliance.evidence import SubjectEvidence, SubjectOfRule
from whence_aggregator.compliance.own.recording import record_rules
from whence_aggregator.compliance.own.reloading import RuleReloading, WantedRules
from whence_aggregator.compliance.own.rule_file import ExampleInFile, RuleInFile
from whence_aggregator.compliance.own.rules import JudgesByOwnRules, OwnAnswer, OwnRule
from whence_aggregator.compliance.rule import unknown
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.rules.live import LiveRules
from whence_aggregator.compliance.subjects import IMAGES_OF_VERSION_MAX
from whence_aggregator.compliance.violations import Violations, WantedViolations
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.replays.verdicts import StoredLog, VerdictReplay, VerdictReplays
from whence_aggregator.trace.state import States
from whence_aggregator.violations.listing import GroupedViolations, WantedGroups
from whence_aggregator.wiring.replays import scratch_database
from whence_aggregator.wiring.rules import load_evaluator
from whence_aggregator.wiring.violations import load_violations
from whence_common.ledger_entry import type_of
from whence_common.statement import ImageFacts

BAD = f"sha256:{'e' * 64}"
REPOSITORY = "registry.example.org/demo/greeter"
SOURCE = (
    b'{"url": "git:https://git.example.org/demo/greeter.git", "revision": "%s", "author": "a", "status": ""}'
    % COMMIT.encode()
)
MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nno ticket"


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[RuleProcess]:
    found = RuleProcess()
    yield found
    await found.close()


class BreakingEngine:
    """Breaks at every rule."""

    failing: Mapping[str, str] = {}

    async def judge(self, rules: Sequence[OwnRule], evidence: SubjectEvidence) -> Mapping[str, OwnAnswer]:
        return {one.id: OwnAnswer(verdict=unknown("the rule took longer than 2 seconds"), broken=True) for one in rules}


def rule(name: str, pass_when: str, kind: SubjectOfRule = "instance", severity: int = 2) -> OwnRule:
    return OwnRule.of(
        RuleInFile(id=name, title="It is right", kind=kind, severity=severity, rationale="It matters.",
                   remedy="Do it.", pass_when=pass_when, examples=[])
    )  # fmt: skip


SOME = (
    rule("own-app", "application.specification_url != ''", "application"),
    rule("own-never-known", "cloud.key_name == ''"),
    rule("own-runs", "machine.runs && machine.cause != 'failed'"),
    rule("own-source", "source.host == 'elsewhere.example'", "version", 1),
)


class House:
    """The program, started again and again with other rules over the same log."""

    def __init__(self, database: Database, authority: SigningAuthority) -> None:
        self.database = database
        self.authority = authority
        self.clock = FakeClock()

    @asynccontextmanager
    async def started(
        self, own: Sequence[OwnRule], engine: JudgesByOwnRules, off: Mapping[str, str] | None = None
    ) -> AsyncIterator[InProcess]:
        first = InProcess(self.database, self.authority, clock=self.clock)
        async with first.running():
            recorded = await record_rules(self.database, first.ledger, own, off or {}, at=self.clock())
        rules = RulesInForce.of(recorded=recorded, engine=engine, off=off or {})
        async with InProcess(self.database, self.authority, clock=self.clock, rules=rules).running() as house:
            yield house


@pytest.fixture
def house(database: Database, authority: SigningAuthority) -> House:
    return House(database, authority)


async def standing(house: InProcess) -> dict[str, tuple[str, str]]:
    """Return the verdicts of users' rules as the log states them last."""
    found: dict[str, tuple[str, str]] = {}
    for one in await house.entries("verdict"):
        event = type_of(one.content or b"")[2]
        first = dict.fromkeys(event["first"], ("pass", ""))
        found |= first | {v["rule"]: (v["verdict"], v["reason"]) for v in event["verdicts"]}
    return {name: one for name, one in found.items() if name.startswith("own-")}


async def changes(house: InProcess) -> list[tuple[str, str, int]]:
    events = [type_of(one.content or b"")[2] for one in await house.entries("rule-set")]
    return [(one["rule"], one["change"], one["version"]) for one in events]


async def replayed(house: InProcess, engine: JudgesByOwnRules) -> list[VerdictReplay]:
    replays = VerdictReplays(
        log=StoredLog(database=house.database, log=house.reader), scratch=scratch_database, engine=engine
    )
    return [await replays.replay(one.ledger_index) for one in await house.entries("verdict")]


def differences(found: list[VerdictReplay]) -> list[object]:
    return [(one.subject, verdict.to_wire()) for one in found for verdict in one.verdicts if not verdict.same]


async def spoken(house: InProcess) -> None:
    await house.register()
    house.sources.commits[COMMIT] = MESSAGE
    house.sources.images[DIGEST] = SOURCE
    await house.say(await house.machine())
    await house.work()


async def test_users_rules_judge_instances_versions_and_applications_and_are_replayed_from_the_log(
    house: House, engine: RuleProcess
) -> None:
    async with house.started(SOME, engine) as running:
        await spoken(running)
        assert await standing(running) == {
            "own-app": ("fail", "the condition does not hold: It is right"),
            "own-never-known": ("unknown", "not known: key_name"),
            "own-runs": ("pass", "the condition holds: It is right"),
            "own-source": ("fail", "the condition does not hold: It is right"),
        }
        found = await replayed(running, engine)
        assert differences(found) == []
        assert {v.rule for one in found for v in one.verdicts} >= {"own-app", "own-never-known", "own-source"}
        assert await changes(running) == [(one.id, "added", 1) for one in SOME]


async def test_a_rule_about_instances_that_reads_the_time_judges_each_of_them_again_within_an_hour(
    house: House, engine: RuleProcess
) -> None:
    ours = rule("own-young", "timestamp(now) - timestamp(machine.recorded_at) < duration('60s')")
    async with house.started([ours], engine) as running:
        await spoken(running)
        assert (await standing(running))["own-young"][0] == "pass"
        running.clock.advance(120)
        await running.evaluator.sweep()
        await running.work()
        assert (await standing(running))["own-young"][0] == "pass", "it is another instance's turn"
        await running.evaluator.sweep()
        await running.work()
        assert (await standing(running))["own-young"][0] == "fail"
        assert differences(await replayed(running, engine)) == []


async def test_no_instance_is_judged_again_by_time_where_no_rule_reads_it(house: House, engine: RuleProcess) -> None:
    async with house.started([rule("own-runs", "machine.runs")], engine) as running:
        await spoken(running)
        for _ in range(4):
            assert await running.evaluator.sweep() == 0
        assert await running.evaluator.work() == 0


async def test_the_violations_of_users_rules_are_listed_with_their_severity(house: House, engine: RuleProcess) -> None:
    async with house.started(SOME, engine) as running:
        await spoken(running)
        listing = Violations(database=running.database, listening=running.listening, rules=running.rules)
        wanted = WantedViolations(rules=["own-source"], states=States.parse("any"), kind="version")
        page, _ = await listing.page(wanted, after="", limit=10)
        assert [(one["rule"], one["severity"], one["remedy"], one["verdict"]) for one in page] == [
            ("own-source", 1, "Do it.", "fail")
        ]


async def test_a_changed_rule_judges_everybody_again_and_the_old_verdicts_are_replayed_by_the_old_source(
    house: House, engine: RuleProcess
) -> None:
    async with house.started([rule("own-runs", "machine.runs")], engine) as running:
        await spoken(running)
        assert (await standing(running))["own-runs"][0] == "pass"
    async with house.started([rule("own-runs", "!machine.runs")], engine) as running:
        await running.evaluator.sweep()
        await running.work()
        assert (await standing(running))["own-runs"][0] == "fail"
    async with house.started([rule("own-runs", "machine.runs")], engine) as running:
        await running.evaluator.sweep()
        await running.work()
        assert (await standing(running))["own-runs"][0] == "pass"
        assert await changes(running) == [
            ("own-runs", "added", 1),
            ("own-runs", "changed", 2),
            ("own-runs", "changed", 3),
        ]
        found = await replayed(running, engine)
        assert differences(found) == []
        assert [v.version for one in found for v in one.verdicts if v.rule == "own-runs"] == [1, 2, 3]


async def test_a_removed_rule_closes_what_it_left_open_and_comes_back_with_a_new_version(
    house: House, engine: RuleProcess
) -> None:
    ours = rule("own-source", "source.host == 'elsewhere.example'", "version")
    async with house.started([ours], engine) as running:
        await spoken(running)
    async with house.started([], engine) as running:
        await running.evaluator.sweep()
        await running.work()
        assert await standing(running) == {"own-source": ("gone", "the rule is not in force: the rule was removed")}
        assert differences(await replayed(running, engine)) == []
    async with house.started([ours], engine) as running:
        await running.evaluator.sweep()
        await running.work()
        assert (await standing(running))["own-source"][0] == "fail"
        assert await changes(running) == [
            ("own-source", "added", 1), ("own-source", "removed", 1), ("own-source", "added", 2),
        ]  # fmt: skip


async def test_switching_a_rule_off_is_recorded_with_its_reason_and_closes_what_it_left_open(
    house: House, engine: RuleProcess
) -> None:
    async with house.started(SOME, engine) as running:
        await spoken(running)
    off = {"own-source": "moved to the new host in May", "ticket-missing": "no tracker yet"}
    async with house.started(SOME, engine, off) as running:
        await running.evaluator.sweep()
        await running.work()
        reason = "the rule is not in force: it is switched off: moved to the new host in May"
        assert (await standing(running))["own-source"] == ("gone", reason)
        shown = {one["id"]: (one["in_force"], one["reason"]) for one in running.rules.to_wire()}
        assert shown["ticket-missing"] == (False, "it is switched off: no tracker yet")
        assert differences(await replayed(running, engine)) == []
    async with house.started(SOME, engine) as running:
        assert (await changes(running))[4:] == [
            ("own-source", "off", 1), ("ticket-missing", "off", 0), ("own-source", "on", 1), ("ticket-missing", "on", 0),
        ]  # fmt: skip
        events = [type_of(one.content or b"")[2] for one in await running.entries("rule-set")]
        assert events[5]["reason"] == "no tracker yet"
        assert events[0]["source"]["pass_when"] == "application.specification_url != ''"
        await running.evaluator.sweep()
        await running.work()
        assert (await standing(running))["own-source"][0] == "fail"


async def test_starting_again_with_the_same_rules_records_nothing(house: House, engine: RuleProcess) -> None:
    for _ in range(2):
        async with house.started(SOME, engine, {"drift": "noisy"}) as running:
            assert len(await running.entries("rule-set")) == 5


async def test_a_rule_that_breaks_is_unknown_and_is_replayed_as_such(house: House, engine: RuleProcess) -> None:
    async with house.started([rule("own-runs", "machine.runs")], BreakingEngine()) as running:
        await spoken(running)
        assert await standing(running) == {"own-runs": ("unknown", "the rule took longer than 2 seconds")}
        assert differences(await replayed(running, engine)) == []


async def test_a_rule_that_another_replica_added_is_not_closed_by_one_that_does_not_know_it(
    house: House, engine: RuleProcess
) -> None:
    async with house.started([rule("own-source", "source.host == 'x'", "version")], engine) as running:
        await spoken(running)
        older: Any = RulesInForce.of()
    async with InProcess(house.database, house.authority, clock=house.clock, rules=older).running() as running:
        house.clock.advance(60)
        await running.evaluator.sweep()
        await running.say(await running.machine("i-00000000000000002"))
        await running.work()
        assert (await standing(running))["own-source"][0] == "fail"


async def test_a_version_with_more_images_than_are_judged_passes_by_none_of_them(
    house: House, engine: RuleProcess
) -> None:
    rules = (
        rule("own-image", f"image.digest != '{BAD}'", "version"),
        rule("own-newest", "image.digest == ''", "version"),
    )
    async with house.started(rules, engine) as running:
        await running.register()
        for number in range(IMAGES_OF_VERSION_MAX + 2):
            digest = BAD if number == 0 else f"sha256:{number:064x}"
            image = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=digest)
            await running.say(await running.machine(f"i-{number + 1:017x}"), image=image, containers=[])
            if number == IMAGES_OF_VERSION_MAX - 1:
                await running.work()
                assert (await standing(running))["own-image"][0] == "fail"
        await running.work()
        found = await standing(running)
        assert found["own-image"] == ("unknown", "the version runs as more images than are judged")
        assert found["own-newest"][0] == "fail"
        assert differences(await replayed(running, engine)) == []


async def test_an_instance_that_is_right_hides_no_other_one_of_its_version(house: House, engine: RuleProcess) -> None:
    rules = (
        rule("own-image", f"image.digest != '{BAD}'", "version"),
        rule("own-other", f"image.digest == '{BAD}'", "version"),
    )
    async with house.started(rules, engine) as running:
        await running.register()
        bad = ImageFacts(source=f"{REPOSITORY}:1.0", repository=REPOSITORY, digest=BAD)
        wrong = await running.machine("i-00000000000000001")
        await running.say(wrong, image=bad, containers=[])
        await running.work()
        right = await running.machine("i-00000000000000002")
        for _ in range(2):
            running.clock.advance(60)
            await running.say(right)
            await running.work()
        found = await standing(running)
        assert {name: found[name][0] for name in found} == {"own-image": "fail", "own-other": "fail"}
        assert differences(await replayed(running, engine)) == []
        size = await running.reader.size()
        await running.say(right)
        await running.work()
        kinds = [one.kind for one in await running.entries()][size:]
        assert kinds == ["statement"], "what was judged before is not recorded again"
        await running.say(wrong)
        await running.work()
        assert {name: one[0] for name, one in (await standing(running)).items()} == {
            "own-image": "pass",
            "own-other": "fail",
        }


@asynccontextmanager
async def reloaded(
    running: InProcess, engine: JudgesByOwnRules
) -> AsyncIterator[tuple[RuleReloading, LiveRules, list[str]]]:
    """Return what reloads rules of a running house, the rules that judge then, and how reloads ended."""
    live, counted = LiveRules(running.rules), list[str]()

    def replace(changed: RulesInForce) -> None:
        live.replace(changed)
        running.evaluator = load_evaluator(
            running.database, running.ledger, running.tracer, running.listening, changed, now=running.clock
        )

    reloading = RuleReloading(
        database=running.database, ledger=running.ledger, engine=engine, replace=replace, count=counted.append,
        in_force=lambda recorded, off: RulesInForce.of(recorded=recorded, engine=engine, off=off), now=running.clock,
    )  # fmt: skip
    yield reloading, live, counted


def exemplified(given: Mapping[str, Any], expect: Literal["pass", "fail", "unknown"]) -> OwnRule:
    source = RuleInFile(
        id="own-runs", title="It is right", kind="instance", severity=1, rationale="It matters.", remedy="Do it.",
        pass_when="!machine.runs", examples=[ExampleInFile(given=dict(given), expect=expect)],
    )  # fmt: skip
    return OwnRule.of(source)


async def test_a_reload_with_a_wrong_example_leaves_the_rules_and_the_log_as_they_were(
    house: House, engine: RuleProcess
) -> None:
    async with (
        house.started([rule("own-runs", "machine.runs")], engine) as running,
        reloaded(running, engine) as (reloading, live, counted),
    ):
        await spoken(running)
        wrong = exemplified({"machine": {"runs": True}}, "pass")
        assert not await reloading.take(WantedRules(own=[wrong], off={}))
        assert (live.current, counted) == (running.rules, ["refused"])
        assert await changes(running) == [("own-runs", "added", 1)]


async def test_a_reload_records_the_change_and_judges_everybody_by_the_new_rule(
    house: House, engine: RuleProcess
) -> None:
    async with (
        house.started([rule("own-runs", "machine.runs")], engine) as running,
        reloaded(running, engine) as (reloading, live, counted),
    ):
        await spoken(running)
        assert (await standing(running))["own-runs"][0] == "pass"
        right = exemplified({"machine": {"runs": True}}, "fail")
        assert await reloading.take(WantedRules(own=[right], off={"drift": "noisy"}))
        await running.work()
        assert (await standing(running))["own-runs"][0] == "fail"
        assert await changes(running) == [
            ("own-runs", "added", 1),
            ("drift", "off", 0),
            ("own-runs", "changed", 2),
        ]
        listed = {str(one["id"]): one for one in live.current.to_wire()}
        assert (listed["own-runs"]["severity"], listed["drift"]["reason"]) == (1, "it is switched off: noisy")
        assert counted == []
        assert differences(await replayed(running, engine)) == []


async def test_a_users_rule_is_a_grouped_violation_with_its_severity_and_another_one_after_a_reload(
    house: House, engine: RuleProcess
) -> None:
    async with (
        house.started([rule("own-runs", "!machine.runs", severity=4)], engine) as running,
        reloaded(running, engine) as (reloading, live, _),
    ):
        await spoken(running)
        living = load_violations(
            running.database, running.ledger, OrganisationDirectory(running.database), None, now=running.clock,
            rules=live,
        )  # fmt: skip
        grouped = GroupedViolations(database=running.database, directory=living.directory, members=living.members)

        async def severity() -> tuple[int, str]:
            await running.work()
            await living.recorder.follow_all()
            moment = await running.tracer.moments.of()
            page = await grouped.page(WantedGroups(rules=["own-runs"]), moment=moment, after="", limit=2)
            (one,) = page.violations
            assert one["members"] == 1, "verdicts by users' rules name members as others do"
            return one["severity"], one["title"]

        assert await severity() == (4, "It is right")
        assert await reloading.take(WantedRules(own=[rule("own-runs", "!machine.runs", severity=1)], off={}))
        assert await severity() == (1, "It is right")
