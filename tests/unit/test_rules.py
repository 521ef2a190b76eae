"""Every rule: when it passes, when it fails, when it cannot know, and what lies just on either side."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fakes.facts import (
    AT,
    DOCUMENT,
    FAILED,
    FOUND,
    OTHERS,
    OURS,
    answer,
    claim,
    container,
    document,
    facts,
    on,
    said,
    verdict,
)
from fakes.machine import DIGEST, scm
from whence_aggregator.compliance.evidence import LinkOfEvidence, SubjectEvidence
from whence_aggregator.compliance.folding import folded_under
from whence_aggregator.compliance.rule import Verdict
from whence_aggregator.compliance.rules.catalogue import RULES, RulesInForce, judge
from whence_aggregator.compliance.views import views_of
from whence_aggregator.trace.facts import NOT_ASKED, Answer, Facts, HeardClock, InventoryFacts
from whence_aggregator.trace.tags import TagHistory, TagSeen
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_common.statement import ApplicationFacts, DriftFacts, ScmSourceFacts

ELSEWHERE = "sha256:" + "7" * 64
NOTHING = "nothing runs on the instance"
NO_FILE = ScmSourceFacts(status="missing", reason="the image has no scm-source.json")
AWAY = answer("unknown", "HTTP 503")


def problem(code: str, severity: str = "error", message: str = "it moves") -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": message}


def drift(kind: str, **changes: Any) -> DriftFacts:
    return DriftFacts(kind=kind, container="taupageapp", first_at=AT, **changes)


def dirty(status: str) -> dict[str, Any]:
    return {"stated": {"scm_source": scm(**{**DOCUMENT, "status": status})}}


def listed(digest: str = OURS, **changes: Any) -> InventoryFacts:
    values = {
        "listed_at": AT, "state": "running", "asked_at": AT, "launched_at": AT, "user_data_digest": digest,
        "ledger_index": 6, **changes,
    }  # fmt: skip
    return InventoryFacts(**values)


def heard(seconds: float, *, confirmed: bool = False) -> dict[str, Any]:
    return {"heard_clock": HeardClock(skew=timedelta(seconds=seconds), confirmed=confirmed)}


MOVED = TagHistory(
    seen=tuple(TagSeen(digest=one, said_by="registry", ledger_index=n) for n, one in enumerate((DIGEST, ELSEWHERE)))
)
TABLE: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "application-unregistered": [
        ({}, "pass", "application is confirmed"),
        ({"kio": {"active": False}}, "pass", "application is confirmed"),
        ({"stated": FAILED}, "pass", "application is confirmed"),
        ({"application": None}, "fail", "greeter is not in the application registry"),
        (
            {"application": None, "stated": {"application": ApplicationFacts(id="Not An Id", version="1")}},
            "fail",
            "user data contains no valid application_id",
        ),
    ],
    "application-inactive": [
        ({}, "pass", "the application is active"),
        ({"kio": {"active": False}}, "fail", "it is not active in the application registry"),
        ({"kio": {"active": None}}, "fail", "it is not active in the application registry"),
        ({"application": None}, "unknown", "the application is not in the application registry"),
    ],
    "image-mutable": [
        ({}, "pass", "the image runs by digest"),
        ({"image_source": AWAY}, "pass", "the image runs by digest"),
        ({"stated": FAILED}, "unknown", NOTHING),
        ({"stated": {**FAILED, "problems": [problem("yaml-invalid")]}}, "unknown", NOTHING),
        (
            {"stated": {**FAILED, "problems": [problem("image-tag-mutable")]}},
            "fail",
            "user data asks for it: it moves",
        ),
        (
            {"stated": {**FAILED, "problems": [problem("image-tag-not-vouched")]}},
            "fail",
            "user data asks for it: it moves",
        ),
        (
            {"stated": {**FAILED, "problems": [problem("image-tag-missing")]}},
            "fail",
            "user data asks for it: it moves",
        ),
        ({"stated": {"problems": [problem("image-tag-mutable", "warning")]}}, "pass", "the image runs by digest"),
        ({"tag": MOVED}, "fail", "the tag has moved: registry.example.org/demo/greeter:1.0 pointed to 2 different images"),
        ({"image_source": answer("absent", "no such image")}, "fail", "no such image"),
        (
            {"stated": {"containers": [container(ELSEWHERE)]}},
            "fail",
            "a container runs a different image than the one that was booted",
        ),
    ],
    "source-missing": [
        ({}, "pass", "source is asserted"),
        ({"image_source": said(claim("provenance"), scm_source=DOCUMENT)}, "pass", "source is confirmed"),
        ({"stated": FAILED}, "unknown", NOTHING),
        ({"stated": {"scm_source": None}, "image_source": AWAY}, "unknown", "HTTP 503"),
        (
            {"stated": {"scm_source": NO_FILE}, "image_source": answer("missing", "no file")},
            "fail",
            "the image has no scm-source.json",
        ),
        (
            {"image_source": answer("missing", "no file")},
            "fail",
            "the agent and the registry read different sources from the same image",
        ),
    ],
    "source-dirty": [
        ({}, "pass", "the source tree was clean"),
        (dirty("false"), "pass", "the source tree was clean"),
        ({"stated": FAILED}, "unknown", NOTHING),
        ({"stated": {"scm_source": None}, "image_source": AWAY}, "unknown", "no source is known for the image"),
        (dirty(" M a"), "fail", "the image was built from a tree with uncommitted changes"),
        (
            {"stated": {"scm_source": NO_FILE}, "image_source": said(claim("provenance", status="modified"))},
            "fail",
            "the image was built from a tree with uncommitted changes",
        ),
        (
            {**dirty(" M a"), "image_source": said(claim("provenance"))},
            "fail",
            "the image was built from a tree with uncommitted changes",
        ),
    ],
    "commit-not-found": [
        ({}, "pass", "the Git server has the commit"),
        (dirty(" M a"), "pass", "the Git server has the commit"),
        ({"stated": FAILED}, "unknown", NOTHING),
        ({"commit": NOT_ASKED}, "unknown", "not collected yet"),
        (
            {"stated": {"scm_source": None}, "image_source": AWAY, "commit": NOT_ASKED},
            "unknown",
            "no source is known for the image",
        ),
        ({"commit": answer("missing", "no such commit")}, "fail", "no such commit"),
        ({"commit": answer("absent", "no such repository")}, "fail", "no such repository"),
        (
            {"stated": {"scm_source": scm(**{**DOCUMENT, "revision": "main"})}, "commit": NOT_ASKED},
            "fail",
            "the source's revision is not a commit id: 'main'",
        ),
    ],
    "commit-unmerged": [
        ({}, "pass", "the default branch reaches the commit"),
        ({"branch": on(False)}, "fail", f"the default branch main did not reach it at {AT}"),
        ({"stated": FAILED}, "unknown", NOTHING),
        (
            {"branch": on(None, reason="cut off")},
            "unknown",
            "it is not known whether the default branch reaches it: cut off",
        ),
        (
            {"branch": NOT_ASKED},
            "unknown",
            "it is not known whether the default branch reaches it: not collected yet",
        ),
        ({"commit": NOT_ASKED, "branch": on(False)}, "unknown", "the commit was not read"),
        ({"commit": answer("missing", "gone"), "branch": on(False)}, "unknown", "the commit was not read"),
    ],
    "ticket-missing": [
        ({}, "pass", "ticket is asserted"),
        ({"stated": FAILED}, "unknown", NOTHING),
        ({"commit": NOT_ASKED}, "unknown", "the commit was not read: not collected yet"),
        (
            {"commit": answer("found", **{**FOUND.value, "message": "pay"})},
            "fail",
            "the commit message names no ticket",
        ),
    ],
    "boot-failed": [
        ({}, "pass", "the instance booted"),
        ({"stated": {"cause": "change"}}, "pass", "the instance booted"),
        ({"stated": {"cause": "stop"}}, "pass", "the instance booted"),
        ({"stated": {"problems": [problem("x")]}}, "pass", "the instance booted"),
        ({"stated": FAILED}, "fail", "the boot failed"),
        ({"stated": {**FAILED, "problems": [problem("x", "warning")]}}, "fail", "the boot failed"),
        ({"stated": {**FAILED, "problems": [problem("x")]}}, "fail", "it moves"),
        (
            {"stated": {**FAILED, "problems": [problem("x"), problem("y"), problem("z", "warning")]}},
            "fail",
            "it moves (and 1 more)",
        ),
    ],
    "drift": [
        ({}, "pass", "no drift from user data was found"),
        ({"stated": FAILED}, "pass", "no drift from user data was found"),
        ({"stated": {"drift": [drift("exec", detail="sh")]}}, "fail", f"exec in taupageapp: sh at {AT}"),
        (
            {"stated": {"drift": [drift("container-undeclared", image="nginx"), drift("exec")]}},
            "fail",
            f"container-undeclared in taupageapp: nginx at {AT} (and 1 more)",
        ),
        ({"stated": {"drift": [drift("container-removed")]}}, "fail", f"container-removed in taupageapp: at {AT}"),
    ],
    "user-data-changed": [
        ({"listed": listed()}, "pass", "the agent and the EC2 API have the same user data"),
        ({}, "unknown", "the inventory of this account and region is not collected"),
        (
            {"listed": listed("", user_data_unread="HTTP 403")},
            "unknown",
            "the EC2 API's user data was not read: HTTP 403",
        ),
        ({"listed": listed("")}, "unknown", "only one of the agent and the EC2 API has user data"),
        (
            {"listed": listed(OTHERS, launched_at="2026-11-22T12:00:20.001Z")},
            "unknown",
            "the listing is of the launch at 2026-11-22T12:00:20.001Z, the statement of another one",
        ),
        (
            {"listed": listed(OTHERS, launched_at="2026-11-22T12:00:20.000Z", user_data={"application_id": "x"})},
            "fail",
            "the EC2 API and the agent report different user data: they differ in application_id",
        ),
    ],
    "instance-unlisted": [
        ({"listed": listed()}, "pass", "the EC2 API lists the instance as running"),
        ({}, "unknown", "the inventory of this account and region is not collected"),
        (
            {"listed": listed(state="gone", listed_at="2026-11-22T12:02:01.000Z"), "life": "terminated",
             "last_seen": "2026-11-22T12:02:00.000Z"},
            "pass",
            "no longer listed in the EC2 API, and not heard since",
        ),
        (
            {"listed": listed(state="gone", listed_at="2026-11-22T12:02:00.000Z"), "life": "terminated",
             "last_seen": "2026-11-22T12:02:00.001Z"},
            "unknown",
            f"no longer listed in the listing of {AT}, and heard later; a second listing is awaited",
        ),
        (
            {"listed": listed(state="gone", listed_at="2026-11-22T12:02:00.001Z"), "life": "terminated",
             "last_seen": "2026-11-22T12:02:00.001Z"},
            "fail",
            f"no longer listed in the EC2 API since the listing of {AT}, and heard later",
        ),
    ],
    "agent-silent": [
        ({}, "pass", "the agent was heard recently"),
        ({"last_seen": "2026-11-22T11:55:00.000Z"}, "pass", "the agent was heard recently"),
        ({"last_seen": None}, "unknown", "the agent was never heard"),
        (
            {"last_seen": "2026-11-22T11:54:59.999Z"},
            "unknown",
            "silent since 2026-11-22T11:54:59.999Z; the inventory of this account and region is not collected",
        ),
        (
            {"last_seen": "2026-11-22T11:54:59.999Z", "life": "running",
             "listed": listed(listed_at="2026-11-22T11:59:59.999Z", launched_at="2026-11-22T10:00:00.000Z")},
            "unknown",
            "silent since 2026-11-22T11:54:59.999Z; the instance is running, and a listing after "
            "2026-11-22T11:59:59.999Z is awaited",
        ),
        (
            {"last_seen": "2026-11-22T11:54:59.999Z", "life": "running",
             "listed": listed(launched_at="2026-11-22T10:00:00.000Z")},
            "fail",
            "silent since 2026-11-22T11:54:59.999Z, and running in a listing after 2026-11-22T11:59:59.999Z",
        ),
        ({"last_seen": "2026-11-22T11:00:00.000Z", "life": "stopped"}, "gone", "subject gone: the instance is stopped"),
    ],
    "clock-off": [
        ({}, "pass", "the clock was right to 300 s"),
        (heard(300), "pass", "the clock was right to 300 s"),
        (heard(-300), "pass", "the clock was right to 300 s"),
        (heard(-300, confirmed=True), "pass", "the clock was right to 300 s"),
        (heard(300.001), "fail", "by its heartbeats, the clock is more than 300 s ahead"),
        (heard(3600, confirmed=True), "fail", "by its heartbeats, the clock is more than 300 s ahead"),
        (
            heard(-300.001),
            "unknown",
            "by its heartbeats, the clock is more than 300 s behind, or one of them was delayed",
        ),
        (heard(-400, confirmed=True), "fail", "by its heartbeats, the clock is more than 300 s behind"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "changes", "outcome", "reason"),
    [
        pytest.param(rule, *case, id=f"{rule}-{number}")
        for rule, cases in TABLE.items()
        for number, case in enumerate(cases)
    ],
)
def test_a_rule_returns_its_verdict_with_its_reason(
    rule: str, changes: dict[str, Any], outcome: str, reason: str
) -> None:
    found = verdict(rule, facts(**changes))
    assert (found.outcome, found.reason) == (outcome, reason)


def test_every_rule_is_tried_with_evidence_for_it_and_against_it() -> None:
    tried = {rule: {outcome for _, outcome, _ in cases} for rule, cases in TABLE.items()}
    assert set(tried) <= {rule.id for rule in RULES}  # each of the others is tried by its examples
    never_unknown = {"application-unregistered", "boot-failed", "drift"}
    for rule, outcomes in tried.items():
        assert {"pass", "fail"} <= outcomes, rule
        assert ("unknown" in outcomes) is (rule not in never_unknown), rule


ENDED = facts(stated=FAILED, application=None, life="terminated", life_since=AT)


@pytest.mark.parametrize("rule", [one.id for one in RULES if one.id != "instance-unlisted"])
def test_a_rule_has_nothing_open_of_an_instance_that_ended(rule: str) -> None:
    found = verdict(rule, ENDED)
    assert (found.outcome, found.reason) == ("gone", f"subject gone: the instance is terminated since {AT}")


def test_an_instance_that_ended_can_still_be_unlisted() -> None:
    assert verdict("instance-unlisted", ENDED).outcome == "unknown"


NOBODY_ASKED: Facts = facts(image_source=NOT_ASKED, commit=NOT_ASKED, branch=NOT_ASKED, stated={"scm_source": None})


@pytest.mark.parametrize(
    "rule", ["source-missing", "source-dirty", "commit-not-found", "commit-unmerged", "ticket-missing",
             "user-data-changed", "instance-unlisted"],
)  # fmt: skip
def test_a_rule_without_collected_evidence_is_unknown(rule: str) -> None:
    assert verdict(rule, NOBODY_ASKED).outcome == "unknown"


def test_nothing_folds_under_a_broken_link_whose_own_rule_is_switched_off() -> None:
    evidence = SubjectEvidence(links={"image": LinkOfEvidence(state="contradicted", reason="the tag has moved")})
    missing = next(one for one in RULES if one.id == "ticket-missing")
    verdict = Verdict(outcome="fail", reason="the commit names no ticket")
    assert folded_under(missing, verdict, evidence, RulesInForce.of()) == "image"
    assert folded_under(missing, verdict, evidence, RulesInForce.of(off={"image-mutable": "tags move here"})) is None


def test_a_review_that_cannot_be_read_fails_the_check_and_one_that_waits_for_its_turn_is_unknown() -> None:
    host = "git.example.org"
    tracker = KnownTracker(host=host, type="github", reviews=True, shared=True)
    read = KnownTrackers(by_host={host: tracker})
    put_off = answer("unknown", "waits: team hello asked git.example.org 500 times, its share of this hour")

    def judged(review: Answer, trackers: KnownTrackers = read) -> tuple[str, str]:
        known = document(replace(facts(), review=review, trackers=trackers))
        rule = next(one for one in RULES if one.id == "check-could-not-run")
        found = judge(rule, views_of(known, "")["version", "greeter@1.0"])
        return found.outcome, found.reason

    assert judged(answer("missing", "no review has it")) == ("pass", "every source was read")
    assert judged(AWAY) == ("fail", "the review was not read: HTTP 503")
    assert judged(put_off) == ("unknown", "the review was not asked yet")
    assert judged(NOT_ASKED) == ("unknown", "the review was not asked yet")
    assert judged(NOT_ASKED, KnownTrackers()) == ("pass", "every source was read"), "no reviews are read of this host"


def test_a_ticket_that_waits_for_its_turn_is_no_source_that_cannot_be_read() -> None:
    put_off = answer("unknown", "waits: team hello asked tracker.example.org 500 times, its share of this hour")
    found = verdict("check-could-not-run", replace(facts(), tickets={"tracker.example.org/DEMO-1": put_off}))
    assert found.outcome == "unknown"
