"""Findings become violations by rule and subject: the worst one speaks, and order changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from unit.test_findings_settings import finding
from whence_aggregator.findings.listing import ShownFinding
from whence_aggregator.findings.scanners import BASE_IMAGE_OUTDATED, IMAGE_CVE, Scanner, Scanners
from whence_aggregator.findings.subjects import FindingSubject
from whence_aggregator.findings.violations import counts, grouped, judge_image

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SCANNERS = Scanners(named=[Scanner(product="prowler", interval_seconds=86_400.0)])
GREETER = FindingSubject(kind="version", id="greeter@1.0", application_id="greeter", team="hello")
OTHER = FindingSubject(kind="account", id="123456789012")
IMAGE = "sha256:" + "d" * 64


def shown(*, subjects: tuple[FindingSubject, ...] = (GREETER,), **changes: Any) -> ShownFinding:
    """Return a finding as it is listed now."""
    one = finding(**changes)
    verdict, reason = SCANNERS.verdict(one, now=NOW)
    return ShownFinding(
        finding=one, verdict=verdict, reason=reason, rule=SCANNERS.rule_of(one), severity=SCANNERS.severity_of(one),
        subjects=subjects,
    )  # fmt: skip


def test_a_fault_outweighs_what_is_unknown_and_its_own_times_count() -> None:
    old = "2026-11-01T00:00:00.000Z"
    (found,) = grouped(
        [
            shown(uid="a", result="unknown", since=old, first_seen=old, severity=1),
            shown(uid="b", since="2026-11-21T00:00:00.000Z", severity=3, body={"detail": "worse"}, reopened=2),
            shown(uid="c", since="2026-11-20T00:00:00.000Z", severity=4, suppressed=True),
        ],
        SCANNERS,
    )
    assert (found.verdict, found.severity, found.reason, found.since) == (
        "fail",
        3,
        "worse",
        "2026-11-20T00:00:00.000Z",
    )
    assert (found.first_seen, found.findings, found.reopened, found.suppressed) == (old, 3, 2, False)
    assert found.subject.team == "hello"


def test_what_passes_is_fixed_or_manual_is_no_violation_and_each_subject_has_its_own() -> None:
    none = [shown(result="pass"), shown(result="manual"), shown(closed="stated"), shown(closed="absent")]
    assert grouped(none, SCANNERS) == []
    both = grouped([shown(subjects=(GREETER, OTHER)), shown(subjects=())], SCANNERS)
    assert [one.key for one in both] == [
        ("prowler/c", "account", "123456789012"), ("prowler/c", "version", "greeter@1.0"),
    ]  # fmt: skip


def test_a_vulnerability_below_the_settings_severity_is_none_of_the_rule() -> None:
    found = [shown(vulnerability=True, image_digest=IMAGE, severity=severity) for severity in (1, 2, 3, 4)]
    assert [counts(one, SCANNERS) for one in found] == [True, True, False, False]


CHANGES = st.fixed_dictionaries({
    "uid": st.sampled_from("abcdef"), "check_id": st.sampled_from(["c", "d"]), "severity": st.integers(1, 4),
    "result": st.sampled_from(["pass", "fail", "unknown", "manual"]), "closed": st.sampled_from(["", "", "stated"]),
    "since": st.sampled_from([f"2026-11-1{n}T00:00:00.000Z" for n in range(4)]), "suppressed": st.booleans(),
    "reopened": st.integers(0, 3), "ledger_index": st.integers(0, 99),
})  # fmt: skip


@given(changes=st.lists(CHANGES, max_size=8), data=st.data())
@settings(max_examples=200, deadline=None)
def test_the_order_of_findings_changes_no_violation(changes: list[dict[str, Any]], data: st.DataObject) -> None:
    found = [shown(**one, body={"detail": f"{one}"}) for one in changes]
    assert grouped(data.draw(st.permutations(found)), SCANNERS) == grouped(found, SCANNERS)


@given(
    results=st.lists(st.tuples(st.sampled_from(["pass", "fail", "unknown"]), st.booleans(), st.integers(1, 4)), max_size=6),
    rule=st.sampled_from([IMAGE_CVE, BASE_IMAGE_OUTDATED]),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_taking_findings_of_an_image_away_never_makes_it_pass(results: list[tuple[str, bool, int]], rule: str) -> None:
    found = [
        finding(
            uid=str(n), check_id="image-scanned" if scan else ("base-image-outdated" if rule != IMAGE_CVE else "CVE-1"),
            vulnerability=not scan, image_digest=IMAGE, result=result, severity=severity,
        )
        for n, (result, scan, severity) in enumerate(results)
    ]  # fmt: skip
    verdict, _ = judge_image(rule, found, SCANNERS, now=NOW)
    scans = [one for one in found if one.check_id == "image-scanned"]
    without_scans = [one for one in found if one not in scans]
    if rule == IMAGE_CVE:
        assert judge_image(rule, without_scans, SCANNERS, now=NOW)[0] != "pass"
    assert judge_image(rule, [], SCANNERS, now=NOW)[0] == "unknown"
    stale = [
        finding(
            uid="old", check_id="image-scanned", image_digest=IMAGE, result="pass", last_seen="2026-11-01T00:00:00.000Z"
        )
    ]
    if verdict == "pass" and rule == IMAGE_CVE:
        assert judge_image(rule, [*found, *stale], SCANNERS, now=NOW)[0] == "unknown"
