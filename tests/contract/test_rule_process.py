"""The process that evaluates users' rules: what is not known, is of another type, or takes too long is unknown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.compliance.evidence import SubjectEvidence, SubjectOfRule
from whence_aggregator.compliance.own.rule_file import RuleInFile
from whence_aggregator.compliance.own.rules import OwnRule


class FakeMonotonic:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic() -> FakeMonotonic:
    return FakeMonotonic()


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[RuleProcess]:
    """One process for most tests: it is only started once."""
    found = RuleProcess()
    yield found
    await found.close()


@pytest.fixture
async def own_process(monotonic: FakeMonotonic) -> AsyncIterator[RuleProcess]:
    found = RuleProcess(monotonic=monotonic, breaks_max=1)
    yield found
    await found.close()


def rule(pass_when: str, *, name: str = "own-rule", kind: SubjectOfRule = "instance", reason: str = "") -> OwnRule:
    return OwnRule.of(
        RuleInFile(id=name, title="It is right", kind=kind, severity=2, rationale="It matters.", remedy="Do it.",
                   pass_when=pass_when, reason=reason, examples=[])
    )  # fmt: skip


def evidence(document: Mapping[str, Any]) -> SubjectEvidence:
    return msgspec.convert({"id": "i-1", **document}, SubjectEvidence)


async def outcome(process: RuleProcess, pass_when: str, document: Mapping[str, Any]) -> tuple[str, str]:
    answer = (await process.judge([rule(pass_when)], evidence(document)))["own-rule"]
    assert not answer.broken
    return answer.verdict.outcome, answer.verdict.reason


@pytest.mark.parametrize(
    ("pass_when", "document", "expected"),
    [
        ("image.signatures > 1", {"image": {"signatures": 2}}, ("pass", "the condition holds: It is right")),
        ("image.signatures > 1", {"image": {"signatures": 1}}, ("fail", "the condition does not hold: It is right")),
        ("image.signatures > 1", {"image": {}}, ("unknown", "not known: signatures")),
        ("!(image.signatures > 1)", {"image": {"signatures": None}}, ("unknown", "not known: signatures")),
        ("image.signatures > 1", {}, ("unknown", "not known: image")),
        ("links.team.state == 'confirmed'", {"links": {}}, ("unknown", "not known: team")),
        ("tickets[3].approved", {"tickets": []}, ("unknown", "not known: a list has fewer items")),
        ("tickets.all(one, one.approved)", {"tickets": []}, ("pass", "the condition holds: It is right")),
        ("tickets.all(one, one.approved)", {}, ("unknown", "not known: tickets")),
        ("tickets.all(one, one.approved)", {"tickets": [{"id": "A-1"}]}, ("unknown", "not known: approved")),
        ("image.signatures > 1 || life == 'running'", {"life": "running"}, ("pass", "the condition holds: It is right")),
        ("image.signatures > 1 && life == 'running'", {"life": "terminated"},
         ("fail", "the condition does not hold: It is right")),
        ("life != 'terminated'", {"life": "unknown"}, ("unknown", "not known: life")),
        ("links.team.state != 'contradicted'", {"links": {"team": {"state": "unknown"}}}, ("unknown", "not known: state")),
        ("ami.outcome != 'missing'", {"ami": {"outcome": "unknown"}}, ("unknown", "not known: outcome")),
        ("application.active", {"application": {"registered": False}}, ("unknown", "not known: active")),
        ("application.criticality_level != 1", {"application": {}}, ("unknown", "not known: criticality_level")),
        ("source.host != 'x'", {"source": {"stated": False}}, ("unknown", "not known: host")),
        ("cloud.state != 'gone'", {"cloud": {}}, ("unknown", "not known: state")),
        ("cloud.difference == ''", {"cloud": {"listed_at": "2026-11-22T12:00:00.000Z"}}, ("unknown", "not known: difference")),
        ("heard.clock != 'ahead'", {"heard": {}}, ("unknown", "not known: clock")),
        ("heard.skew_seconds < 1.0", {"heard": {}}, ("unknown", "not known: skew_seconds")),
        ("machine.source != 'x'", {"machine": {"user_data": "unreadable"}}, ("unknown", "not known: source")),
        ("machine.proved_region != 'x'", {"machine": {}}, ("unknown", "not known: proved_region")),
        ("machine.application_id != ''", {"machine": {}}, ("fail", "the condition does not hold: It is right")),
        ("image.repository != 'x'", {"image": {}}, ("unknown", "not known: repository")),
        ("1 / image.signatures == 1", {"image": {"signatures": 0}}, ("unknown", "the condition divides by zero")),
        ("image.signatures * 999999999999999999 * 10 > 0", {"image": {"signatures": 1}},
         ("unknown", "the condition cannot be evaluated for this evidence (OverflowError)")),
        ("timestamp(life_since) > timestamp('2026-01-01T00:00:00Z')", {"life_since": "2026-02-01T00:00:00.000Z"},
         ("pass", "the condition holds: It is right")),
        ("timestamp(life_since) > timestamp('2026-01-01T00:00:00Z')", {"life_since": "yesterday"},
         ("unknown", "the condition cannot be evaluated for this evidence (RuntimeError)")),
        ("source.url.matches('(((a{1000}){1000}){1000})')", {"source": {"url": "a"}},
         ("unknown", "the condition cannot be evaluated for this evidence (RuntimeError)")),
        ("source.url.matches('[')", {"source": {"url": "a"}},
         ("unknown", "the condition cannot be evaluated for this evidence (RuntimeError)")),
    ],
)  # fmt: skip
async def test_what_is_not_known_or_cannot_be_evaluated_is_unknown(
    process: RuleProcess, pass_when: str, document: Mapping[str, Any], expected: tuple[str, str]
) -> None:
    assert await outcome(process, pass_when, document) == expected


async def test_the_reason_of_a_failed_verdict_is_the_rules_own(process: RuleProcess) -> None:
    found = await process.judge([rule("life == 'x'", reason="It is wrong.")], evidence({"life": "running"}))
    assert found["own-rule"].verdict.reason == "It is wrong."


async def test_a_pattern_that_backtracks_elsewhere_takes_no_time(process: RuleProcess) -> None:
    document = {"source": {"url": "a" * 1_000_000 + "!"}}
    assert (await outcome(process, "source.url.matches('^(a+)+$')", document))[0] == "fail"


async def test_evidence_of_ten_megabytes_is_unknown(process: RuleProcess) -> None:
    found = await outcome(process, "source.url == ''", {"source": {"url": "a" * 10_000_000}})
    assert found == ("unknown", "the evidence is larger than 8388608 bytes")
    assert (await outcome(process, "life == 'running'", {"life": "running"}))[0] == "pass"


ENDLESS = "machine.drift.all(a, machine.drift.all(b, (a.detail + b.detail).matches('^(x|y)*$')))"
MANY = {
    "life": "running",
    "machine": {
        "drift": [{"kind": "exec", "container": "c", "detail": "x" * 200, "first_at": ""} for _ in range(10_000)]
    },
}


async def test_a_rule_that_takes_too_long_is_unknown_and_the_others_are_evaluated(own_process: RuleProcess) -> None:
    process = own_process
    rules = [rule("life == 'running'", name="own-a"), rule(ENDLESS, name="own-b"), rule("life == 'x'", name="own-c")]
    found = await process.judge(rules, evidence(MANY))
    assert {name: (one.verdict.outcome, one.broken) for name, one in found.items()} == {
        "own-a": ("pass", False), "own-b": ("unknown", True), "own-c": ("fail", False),
    }  # fmt: skip
    assert found["own-b"].verdict.reason == "the rule took longer than 2 seconds"
    assert process.failing == {"own-b": "the rule took longer than 2 seconds"}
    assert process.counted == {("own-b", "too-long"): 1}


async def test_a_rule_that_breaks_again_and_again_is_not_evaluated_for_a_while(
    own_process: RuleProcess, monotonic: FakeMonotonic
) -> None:
    process = own_process
    endless, subject = rule(ENDLESS), evidence(MANY)
    for _ in range(3):
        found = await process.judge([endless], subject)
        assert found["own-rule"].verdict.outcome == "unknown"
        assert found["own-rule"].broken
    assert process.counted == {("own-rule", "too-long"): 1, ("own-rule", "suspended"): 2}
    monotonic.seconds += 601.0
    assert (await process.judge([endless], evidence({"machine": {"drift": []}})))["own-rule"].verdict.outcome == "pass"
    assert process.failing == {}


@pytest.mark.parametrize("condition", ["'a", "1 + ", "evidence_of_subject.missing()", "1"])
async def test_a_condition_that_the_engine_does_not_accept_is_unknown(process: RuleProcess, condition: str) -> None:
    found = await process.judge([replace(rule("true"), condition=condition)], evidence({}))
    assert found["own-rule"].verdict.outcome == "unknown"
    assert not found["own-rule"].broken


async def test_memory_that_a_condition_takes_is_bounded(process: RuleProcess) -> None:
    bomb = "[1,2,3,4,5,6,7,8,9,0].map(a, " * 8 + "[a]" + ")" * 8 + " == []"
    found = (await process.judge([replace(rule("true"), condition=bomb)], evidence({})))["own-rule"]
    assert found.verdict.outcome == "unknown"
