"""Violations as OCSF and SARIF: what others' libraries accept, with the same identity in every export."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding

from fakes.findings import sample
from whence_aggregator.compliance.export import to_ocsf, to_sarif
from whence_aggregator.findings.reading import FindingReader, Placed, ReadAs

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SCHEMA = json.loads(sample("sarif-schema-2.1.0.json"))
VALIDATOR = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def violation(**changes: Any) -> dict[str, Any]:
    return {
        "instance_id": "i-0123456789abcdef0", "rule": "boot-failed", "verdict": "fail", "reason": "the image is mutable",
        "since": "2026-11-22T10:00:00.000Z", "ledger_index": 7, "account_id": "123456789012", "region": "eu-central-1",
        "application_id": "greeter", "severity": 1, "remedy": "pin the digest", "cursor": "1~boot-failed", **changes,
    }  # fmt: skip


UNKNOWN = violation(rule="agent-silent", verdict="unknown", severity=4, region="cn-north-1", application_id=None)


def test_an_ocsf_event_has_the_result_in_its_compliance_and_is_new() -> None:
    first, second = to_ocsf([violation(), UNKNOWN], version="0.1.0", now=NOW)
    assert (first["class_uid"], first["type_uid"], first["status_id"], first["severity_id"]) == (2003, 200301, 1, 5)
    assert first["compliance"] == {
        "control": "boot-failed", "standards": ["Whence"], "status_id": 3, "status": "Fail",
        "status_details": ["the image is mutable"],
    }  # fmt: skip
    assert (second["compliance"]["status_id"], second["severity_id"]) == (2, 2)
    assert first["finding_info"]["uid"] == "whence/boot-failed/i-0123456789abcdef0"
    assert first["time"] == 1_795_348_800_000
    assert second["resources"][0]["uid"] == "arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-0123456789abcdef0"


def test_sarif_states_what_is_unknown_as_open_and_gives_each_rule_once() -> None:
    document = to_sarif([violation(), UNKNOWN, violation(instance_id="i-00000001")], version="0.1.0", now=NOW)
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["boot-failed", "agent-silent"]
    assert [(r["ruleIndex"], r["kind"], r["level"]) for r in run["results"]] == [
        (0, "fail", "error"), (1, "open", "none"), (0, "fail", "error"),
    ]  # fmt: skip
    assert run["results"][0]["partialFingerprints"] == {"whence/v1": "whence/boot-failed/i-0123456789abcdef0"}


TEXT = st.text(max_size=30)
VIOLATIONS = st.lists(
    st.builds(
        violation, rule=st.sampled_from(["boot-failed", "drift", "agent-silent"]), reason=TEXT, remedy=TEXT,
        verdict=st.sampled_from(["fail", "unknown"]), severity=st.integers(1, 4),
        region=st.sampled_from(["eu-central-1", "us-gov-west-1", "cn-north-1"]),
        application_id=st.none() | st.just("greeter"), ledger_index=st.none() | st.integers(0, 2**40),
    ),
    max_size=6,
)  # fmt: skip


@given(violations=VIOLATIONS)
@settings(max_examples=60, deadline=None)
def test_every_export_is_valid_by_others_definitions(violations: list[dict[str, Any]]) -> None:
    VALIDATOR.validate(json.loads(json.dumps(to_sarif(violations, version="0.1.0", now=NOW))))
    for event in to_ocsf(violations, version="0.1.0", now=NOW):
        read = ComplianceFinding.model_validate_json(json.dumps(event))
        assert read.compliance.status_id is not None


def test_what_is_exported_can_be_taken_as_findings_again() -> None:
    events = to_ocsf([violation(), UNKNOWN], version="0.1.0", now=NOW)
    reader = FindingReader(ReadAs(now=NOW))
    found = [one for part in reader.parts(json.dumps(events).encode()) for one in reader.read(part)]
    assert [(one.finding.product, one.finding.result, one.finding.resource.instance_id) for one in found if isinstance(one, Placed)] == [
        ("whence", "fail", "i-0123456789abcdef0"), ("whence", "unknown", "i-0123456789abcdef0"),
    ]  # fmt: skip
