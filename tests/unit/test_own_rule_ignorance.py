"""Conditions of users' rules about what was not read: each would hold, and what is read later could deny it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.adapters.rule_engine import ConditionEngine
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.own.checking import check
from whence_aggregator.compliance.own.documented import document_of, evidence_type
from whence_aggregator.compliance.own.expression import written
from whence_aggregator.compliance.own.syntax import parse

ENGINE = ConditionEngine()
UNREAD = [{"source": "the registry", "outcome": "failed", "reason": "HTTP 503"}]
CLOUD = {"listed_at": "2026-11-22T12:00:00.000Z", "state": "running"}
NOT_READ = {"state": "unknown", "reason": "the Git server was not read"}


def outcome(condition: str, kind: str = "instance", **members: Any) -> bool | None:
    evidence = msgspec.convert({"kind": kind, **members}, SubjectEvidence)
    tree = parse(condition)
    check(tree, evidence_type(evidence.kind))
    return ENGINE.evaluate(written(tree), document_of(evidence)).outcome


@pytest.mark.parametrize(
    ("condition", "members"),
    [
        ("links.source.state in ['confirmed', 'asserted']", {"links": {"source": {"state": "asserted"}}, "reads": UNREAD}),
        ("links.image.state != 'contradicted'", {"links": {"image": {"state": "asserted"}}, "reads": UNREAD}),
        ("!source.dirty", {"source": {"url": "git:https://a/b", "dirty": False}, "reads": UNREAD}),
        ("!source.stated || source.host == 'a'", {"source": {"stated": False}, "reads": UNREAD}),
        ("!source.stated", {"source": {"stated": False}, "links": {"source": NOT_READ}}),
        ("!links.commit.reason.contains('branch')", {"links": {"commit": NOT_READ}}),
        ("commit.reason != 'gone'", {"commit": {"outcome": "unknown", "reason": "not collected yet"}}),
        ("commit.branch_reason == ''", {"commit": {"outcome": "found"}}),
        ("commit.signature_reason == ''", {"commit": {"outcome": "found"}}),
        ("ami.reason != ''", {"ami": {"outcome": "unknown", "reason": "not collected yet"}}),
        ("ami_content.reason != ''", {"ami_content": {"state": "unknown", "reason": "not collected yet"}}),
        ("ami_content.digest == 'sha256:aa'", {"ami_content": {"state": "unknown", "digest": "sha256:aa"}}),
        ("size(machine_image.packages) < 3", {"machine_image": {"packages": ["openssl"], "differing": 2}}),
        ("machine_image.packages.all(one, one != 'openssl')", {"machine_image": {"unread": "malformed"}}),
        ("image.reason != ''", {"image": {"outcome": "unknown", "reason": "HTTP 503"}}),
        ("tickets.all(one, one.problem != 'missing')", {"tickets": [{"id": "A-1", "state": "unknown", "problem": "unknown"}]}),
        ("size(tickets) == 0", {"tickets": [], "links": {"review": NOT_READ}}),
        ("tickets.all(one, one.approved)",
         {"tickets": [{"id": f"A-{number}", "approved": True} for number in range(50)]}),
        ("!application.registered", {"application": {"registered": False}, "machine": {"user_data": "unreadable"}}),
        ("machine.masked.all(one, one != 'password')", {"machine": {"masked": [str(number) for number in range(50)]}}),
        ("!cloud.same_launch", {"cloud": {**CLOUD, "same_launch": False}}),
        ("!cloud.next_start", {"cloud": {**CLOUD, "state": ""}}),
        ("cloud.user_data_unread == ''", {"cloud": CLOUD}),
        ("cloud.difference == ''",
         {"cloud": {**CLOUD, "user_data_digest": "sha256:aa", "launched_at": "x", "same_launch": False}}),
        ("cloud.difference == ''", {"cloud": {**CLOUD, "user_data_digest": "sha256:aa", "next_start": True}}),
    ],
)  # fmt: skip
def test_no_condition_holds_because_something_was_not_read(condition: str, members: dict[str, Any]) -> None:
    assert outcome(condition, **members) is None


def test_no_condition_about_an_account_or_a_version_holds_because_something_was_not_read() -> None:
    assert outcome("account.events_failing == ''", "account", account={"allowed": True, "listed": True}) is None
    assert outcome("account.reason == ''", "account", account={"allowed": True}) is None
    scans = {"vulnerabilities": {"outcome": "unknown", "reason": "no scanner has reported about this image"}}
    assert outcome("!scans.vulnerabilities.reason.contains('CVE')", "version", scans=scans) is None


def test_what_was_read_is_still_judged() -> None:
    read = [{"source": "the registry", "outcome": "read"}]
    assert outcome("links.source.state == 'asserted'", links={"source": {"state": "asserted"}}, reads=read) is True
    assert (
        outcome("!source.stated", source={"stated": False}, links={"source": {"state": "missing"}}, reads=read) is True
    )
    assert (
        outcome("size(tickets) == 0", tickets=[], links={"review": {"state": "unknown", "reason": "not configured: x"}})
        is True
    )
    assert outcome("cloud.difference == ''", cloud={**CLOUD, "user_data_digest": "sha256:aa"}) is True
    assert outcome("reads.all(one, one.outcome == 'read')", reads=UNREAD) is False
