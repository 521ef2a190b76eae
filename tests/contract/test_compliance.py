"""Compliance: missing evidence is unknown, never a pass; verdicts follow the state, close and reopen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from fakes.auditor import checked
from fakes.in_process import SILENT_AFTER_SECONDS, InProcess
from fakes.machine import COMMIT, DIGEST, FAILED, SIDECAR, Machine, scm
from whence_aggregator.compliance.evaluate import PAGE_INSTANCES
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.queries.compliance import UNJUDGE, UNJUDGED
from whence_aggregator.queries.query import instance_ids
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.moment import NOW, Moment
from whence_aggregator.trace.silences import silences_of
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.trackers.places import NO_TRACKERS
from whence_aggregator.wiring.rules import load_evaluator
from whence_common.statement import ContainerFacts, DriftFacts, ScmSourceFacts

MESSAGE = b"tree x\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n"
NO_SOURCE = ScmSourceFacts(status="missing", reason="the image has no /scm-source.json")


async def verdicts(house: InProcess, instance_id: str = "i-0123456789abcdef0") -> dict[str, str]:
    return {row["rule"]: row["verdict"] for row in await standing_verdicts(house.database, instance_id)}


async def test_a_good_instance_passes_every_rule_whose_sources_were_read(house: InProcess) -> None:
    await house.register()
    house.sources.images[DIGEST] = SourceUnavailable("registry-unreachable", "away")
    house.sources.commits[COMMIT] = MESSAGE + b"DEMO-1: greet"
    await house.say(await house.machine())
    await house.work()
    unread = {"user-data-changed": "unknown", "instance-unlisted": "unknown", "source-dirty": "unknown"}
    assert await verdicts(house) == {rule.id: "pass" for rule in house.rules.of_kind("instance")} | unread


class RegisteredMeanwhile(Tracer):
    """Reads facts; the application is registered right after that, before the verdicts are stored."""

    def __init__(self, house: InProcess) -> None:
        self._house = house
        self.times = 0

    async def facts(self, instance_ids: Sequence[str], *, moment: Moment = NOW) -> dict[str, Facts]:
        found = await self._house.tracer.facts(instance_ids, moment=moment)
        self.times += 1
        if self.times <= 2:
            await self._house.register(name=f"Greeter {self.times}")
        return found


async def test_what_is_recorded_while_an_instance_is_judged_has_it_judged_again(house: InProcess) -> None:
    await house.say(await house.machine())
    tracer = RegisteredMeanwhile(house)
    evaluator = load_evaluator(
        house.database, house.ledger, tracer, house.listening, house.rules, now=house.clock, trackers=NO_TRACKERS
    )
    assert await evaluator.work() == 1
    assert (await verdicts(house))["application-unregistered"] == "fail"
    while await evaluator.work():
        pass
    assert (await verdicts(house))["application-unregistered"] == "pass"
    registered = tracer.times
    assert await evaluator.work() == 0
    assert tracer.times == registered >= 3, "the second registration came while it was judged too"


async def test_what_a_fact_marked_is_judged_before_statements_however_many_there_are(house: InProcess) -> None:
    machines = [await house.machine(f"i-{number:017x}") for number in range(40)]
    for machine in machines:
        await house.say(machine)
    while await house.evaluator.work():
        pass
    for machine in machines[:-1]:
        await house.say(machine)
    await house.database.write(UNJUDGE.bind([instance_ids([machines[-1].instance_id])]))
    waiting = (await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 100})))[-1]["instance_id"]
    assert waiting == machines[-1].instance_id, "by number, it is the last one"
    for _ in range(2):
        await house.evaluator.work(few=True)
    found = {row["instance_id"] for row in await house.database.fetch(UNJUDGED.bind({"after": 0, "limit": 100}))}
    assert machines[-1].instance_id not in found
    assert len(found) >= 39 - 2 * PAGE_INSTANCES


async def test_nothing_asked_yet_is_unknown_and_no_pass(house: InProcess) -> None:
    house.sources.commits[COMMIT] = SourceUnavailable("git-refused", "away")
    await house.say(await house.machine(), scm_source=None)
    await house.work()
    found = await verdicts(house)
    assert {found[rule] for rule in ("source-missing", "source-dirty", "commit-not-found", "ticket-missing")} == {
        "unknown"
    }


async def test_each_rule_fails_for_its_own_reason(house: InProcess) -> None:
    house.sources.images[DIGEST] = None
    house.sources.commits[COMMIT] = MESSAGE + b"no ticket here"
    cases: dict[str, dict[str, object]] = {
        "application-unregistered": {},
        "ticket-missing": {},
        "source-missing": {"scm_source": NO_SOURCE},
        "source-dirty": {"scm_source": scm(status="M x")},
        "image-mutable": FAILED,
        "boot-failed": FAILED,
        "drift": {"drift": [DriftFacts(kind="exec", container="taupageapp", detail="/bin/sh")]},
    }
    for number, (rule, changes) in enumerate(cases.items()):
        instance_id = f"i-{number:017x}"
        await house.say(await house.machine(instance_id), **changes)
        await house.work()
        assert (await verdicts(house, instance_id))[rule] == "fail", rule


async def test_a_commit_that_is_nowhere_fails(house: InProcess) -> None:
    house.sources.commits[COMMIT] = None
    await house.say(await house.machine())
    await house.work()
    assert (await verdicts(house))["commit-not-found"] == "fail"


async def test_an_image_replaced_under_its_container_fails(house: InProcess) -> None:
    other = ContainerFacts(name="taupageapp", container_id="2", image_digest="sha256:" + "0" * 64, state="running")
    await house.say(await house.machine(), containers=[other])
    await house.work()
    assert (await verdicts(house))["image-mutable"] == "fail"


async def test_a_sidecar_runs_another_image_than_the_application_and_that_is_right(house: InProcess) -> None:
    application = ContainerFacts(name="taupageapp", container_id="1", image_digest=DIGEST, state="running")
    await house.say(await house.machine(), containers=[application, SIDECAR])
    await house.work()
    assert (await verdicts(house))["image-mutable"] == "pass"
    other = msgspec.structs.replace(SIDECAR, image_digest=DIGEST)
    await house.say(await house.machine("i-00000000000000002"), containers=[application, other])
    await house.work()
    assert (await verdicts(house, "i-00000000000000002"))["image-mutable"] == "fail"


async def test_a_failed_boot_is_judged_no_further_than_it_came(house: InProcess) -> None:
    await house.say(await house.machine(), **FAILED)
    await house.work()
    found = await verdicts(house)
    assert {found[rule] for rule in ("source-missing", "source-dirty", "commit-not-found", "ticket-missing")} == {
        "unknown"
    }


async def test_silence_is_a_violation_until_the_agent_is_heard_again(house: InProcess, tmp_path: Path) -> None:
    machine = await house.machine()
    house.ec2.listed = {machine.instance_id: ("running", "2026-11-22T11:59:59.000Z")}
    await house.say(machine)
    await house.inventory.collect("123456789012/eu-central-1")
    await house.work()
    assert (await verdicts(house))["agent-silent"] == "pass"
    house.clock.advance(SILENT_AFTER_SECONDS + 1)
    assert await house.evaluator.sweep() == 1
    await house.work()
    assert (await verdicts(house))["agent-silent"] == "unknown", "no listing since shows whether it runs"
    house.clock.advance(1)
    await house.inventory.collect("123456789012/eu-central-1")
    await house.work()
    assert (await verdicts(house))["agent-silent"] == "fail"
    assert await house.evaluator.sweep() == 0
    (lasting,) = await _silences(house, machine)
    assert (lasting["until"], lasting["proved"]) == (None, True)
    await house.say(machine)
    await house.work()
    assert (await verdicts(house))["agent-silent"] == "pass"
    (ended,) = await _silences(house, machine)
    assert (ended["since"], ended["ended"]) == (lasting["since"], "heard")
    kinds = {one.ledger_index: one.kind for one in await house.entries()}
    assert [kinds[ended[name]] for name in ("ledger_index", "ended_index")] == ["verdict", "verdict"]
    assert await silences_of(house.database, machine.instance_id, past=ended["ledger_index"], limit=50) == []
    assert (await checked(house, tmp_path)).findings == []


async def _silences(house: InProcess, machine: Machine) -> list[dict[str, Any]]:
    return await silences_of(house.database, machine.instance_id, past=2**62, limit=50)


async def test_registering_the_application_closes_its_violation(house: InProcess) -> None:
    await house.say(await house.machine())
    await house.work()
    assert (await verdicts(house))["application-unregistered"] == "fail"
    await house.register()
    await house.work()
    assert (await verdicts(house))["application-unregistered"] == "pass"


async def test_a_verdict_keeps_its_beginning_while_it_lasts(house: InProcess) -> None:
    machine = await house.machine()
    await house.say(machine, **FAILED)
    await house.work()
    house.clock.advance(60)
    await house.say(machine, **{**FAILED, "problems": [{**FAILED["problems"][0], "message": "it still moves"}]})
    await house.work()
    rows = await standing_verdicts(house.database, machine.instance_id)
    (row,) = [row for row in rows if row["rule"] == "boot-failed"]
    assert (row["since"], row["reason"]) == ("2026-11-22T12:00:00.000Z", "it still moves")


async def test_only_verdicts_that_moved_become_entries(house: InProcess) -> None:
    machine = await house.machine()
    await house.say(machine)
    await house.work()
    before = len(await house.entries("verdict"))
    await house.say(machine)
    await house.work()
    assert len(await house.entries("verdict")) == before
