"""The rules about AMIs by the statements about their content: what passes, fails, and stays unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.facts import AT, answer, document, facts, verdict
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RULES, judge
from whence_aggregator.trace.ami_statement import EC2_TAG, AmiStatement
from whence_aggregator.trace.facts import Answer, Facts
from whence_aggregator.trace.judged_facts import judged_facts
from whence_common.ami_facts import AmiFacts, PackageFacts

BUILDER = "https://ci.example.org/images"
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
OLD, YOUNG = "2026-08-01T00:00:00Z", "2026-11-20T00:00:00Z"
SETTINGS = RuleSettings(ami_days_max=60, ami_builders=(BUILDER,), ami_packages_differing_max=0)
UNREAD: Answer = answer("unknown", "access denied")
NONE = "no statement about this AMI is recorded"
NOT_READ = "the AMI's tag in EC2 was not read: access denied"
ONLY_THE_TAG = f"only the tag {EC2_TAG} of the AMI in EC2 names its statement"


def statement(digest: str = DIGEST, **changes: Any) -> AmiStatement:
    values: dict[str, Any] = {
        "image_id": "ami-1", "region": "eu-central-1", "named_index": 9, "ledger_index": 8, "digest": digest,
        "name": "whence-1.2", "root_digest": OTHER, "builder_id": BUILDER, "key_id": "k",
        "repository": "git.example.org/demo/image", "commit_id": "5a" * 20, "modified": False, "finished_at": YOUNG,
        "packages": 3, "recorded_at": AT, "recorded_by": "ci", "trusted": True, **changes,
    }  # fmt: skip
    return AmiStatement(**values)


def described(tag: str = "", created_at: str = YOUNG, **changes: Any) -> Answer:
    tags = {EC2_TAG: tag} if tag else {}
    value = {"name": "whence", "owner": "1", "created_at": created_at, "deprecated_at": "", "expires_at": "", **changes}
    return answer("found", **value, tags=tags)


def machine(digest: str = DIGEST, *differing: str, **changes: Any) -> dict[str, Any]:
    some = [PackageFacts(name=one, architecture="amd64", image="1", machine="2") for one in differing]
    values = {"statement_digest": digest, "name": "whence-1.2", "differing": len(some), "differences": some, **changes}
    return {"stated": {"ami": AmiFacts(**values)}}


NAMED: dict[str, Any] = {"ami_statements": (statement(),)}
TAGGED: dict[str, Any] = {"ami_stated": (statement(region="", image_id=""),)}
SOURCE = {"region": "us-east-1", "image_id": "ami-2"}
OF_SOURCE: dict[str, Any] = {"ami_stated": (statement(region="us-east-1", image_id="ami-2"),)}
UNTRUSTED: dict[str, Any] = {"ami_statements": (statement(trusted=False),)}
TWO: dict[str, Any] = {"ami_statements": (statement(), statement(OTHER))}
SEVERAL = f"2 statements name this AMI: {DIGEST}, {OTHER}"
NOT_TRUSTED = f"the settings do not trust the builder {BUILDER} with the key that signed"
DIFFERS = f"the machine's image names the statement {OTHER}, and the AMI has {DIGEST}"
TABLE: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "ami-unstated": [
        ({"ami": described(), **NAMED}, "pass", f"{BUILDER} states what the AMI consists of"),
        ({"ami": described(DIGEST), **NAMED}, "pass", f"{BUILDER} states what the AMI consists of"),
        ({"ami": described("latest"), **NAMED}, "pass", f"{BUILDER} states what the AMI consists of"),
        ({"ami": answer("missing"), **NAMED}, "pass", f"{BUILDER} states what the AMI consists of"),
        ({"ami": described()}, "fail", NONE),
        ({"ami": described(DIGEST)}, "fail", f"{NONE}; its tag {EC2_TAG} in EC2 names {DIGEST}"),
        ({"ami": described(), **TWO}, "fail", SEVERAL),
        ({"ami": described(OTHER), **NAMED}, "fail",
         f"the tag {EC2_TAG} of the AMI in EC2 states the statement {OTHER}, and the AMI was recorded with {DIGEST}"),
        ({"ami": described(), "ami_statements": (statement(builder_id="https://other"),)}, "fail",
         "https://other built the AMI, which is not in rules.ami_builders"),
        ({"ami": described(), **UNTRUSTED}, "unknown", NOT_TRUSTED),
        ({"ami": described(DIGEST), **TAGGED}, "unknown", ONLY_THE_TAG),
        ({"ami": described(copied_from=SOURCE), **OF_SOURCE}, "unknown",
         "only EC2 states that the AMI was copied from ami-2 in us-east-1"),
        ({"ami": described(OTHER, copied_from=SOURCE), **OF_SOURCE}, "fail",
         f"of the AMI that it was copied from: the tag {EC2_TAG} of the AMI in EC2 states the statement {OTHER}, and the AMI "
         f"was recorded with {DIGEST}"),
        ({"ami": described(copied_from=SOURCE)}, "fail", NONE),
        ({"ami": described(), **TAGGED, **machine()}, "fail", NONE),
        ({"ami": UNREAD}, "unknown", NOT_READ),
        ({"ami": UNREAD, **NAMED}, "unknown", NOT_READ),
        ({}, "unknown", "the AMI's tag in EC2 was not read: not collected yet"),
    ],
    "ami-statement-contradicted": [
        ({"ami": described(), **NAMED, **machine()}, "pass", "the machine's image names the statement of the AMI"),
        ({"ami": described(DIGEST), **TAGGED, **machine()}, "pass", "the machine's image names the statement of the AMI"),
        ({"ami": described(copied_from=SOURCE), **OF_SOURCE, **machine()}, "pass",
         "the machine's image names the statement of the AMI"),
        ({"ami": described(copied_from=SOURCE), **OF_SOURCE, **machine(OTHER)}, "fail", DIFFERS),
        ({"ami": described(), **NAMED, **machine(OTHER)}, "fail", DIFFERS),
        ({"ami": UNREAD, **NAMED, **machine(OTHER)}, "fail", DIFFERS),
        ({"ami": described(DIGEST), **machine(OTHER)}, "fail", DIFFERS),
        ({"ami": described(), **TWO, **machine()}, "fail", SEVERAL),
        ({"ami": described(), **TWO}, "fail", SEVERAL),
        ({"ami": described(), **NAMED}, "unknown", "not known: what the agent states of its image"),
        ({"ami": described(), **machine()}, "unknown", NONE),
        ({"ami": described(DIGEST), **machine()}, "unknown", f"{NONE}; its tag {EC2_TAG} in EC2 names {DIGEST}"),
        ({"ami": UNREAD, **NAMED, **machine()}, "unknown", NOT_READ),
        ({"ami": described(), **NAMED, **machine("")}, "unknown", "the machine's image names no statement"),
    ],
    "ami-packages-changed": [
        ({"ami": described(), **NAMED, **machine()}, "pass", "the machine has the packages of its image"),
        ({"ami": described(), **NAMED, **machine(DIGEST, "openssl")}, "fail",
         "1 packages differ from the image, 0 may: openssl"),
        ({**machine(OTHER, "a", "b", "c", "d", "e", differing=300)}, "fail",
         "300 packages differ from the image, 0 may: a, b, c (and 297 more)"),
        ({"ami": described(), **NAMED, **machine(unread="dpkg's status is malformed")}, "unknown",
         "the packages of the machine were not read: dpkg's status is malformed"),
        ({"ami": described(), **NAMED, **machine(OTHER)}, "unknown",
         "the machine's packages were compared with an image that is not the AMI's"),
        ({"ami": described(), **machine()}, "unknown", NONE),
        ({"ami": described(), **NAMED}, "unknown", "not known: what the agent states of its image"),
    ],
    "ami-expired": [
        ({"ami": described(), **NAMED}, "pass", "the AMI has not expired"),
        ({"ami": described()}, "pass", "the AMI has not expired"),
        ({"ami": described(), "ami_statements": (statement(finished_at=OLD),)}, "fail",
         f"the AMI was built at {OLD} by the statement about it, more than 60 days ago"),
        ({"ami": answer("missing"), "ami_statements": (statement(finished_at=OLD),)}, "fail",
         f"the AMI was built at {OLD} by the statement about it, more than 60 days ago"),
        ({"ami": described(created_at=OLD), **NAMED}, "fail",
         f"the AMI was created at {OLD}, more than 60 days ago"),
        ({"ami": described(), "ami_statements": (statement(finished_at=OLD, trusted=False),)}, "pass",
         "the AMI has not expired"),
        ({"ami": described(DIGEST), "ami_stated": (statement(finished_at=OLD),)}, "pass", "the AMI has not expired"),
        ({"ami": UNREAD, "ami_statements": (statement(finished_at=OLD),)}, "unknown",
         "the AMI was not read: access denied"),
        ({"ami": answer("missing", "not shared"), **NAMED}, "unknown", "the AMI was not read: not shared"),
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
def test_a_rule_about_amis_returns_its_verdict_with_its_reason(
    rule: str, changes: dict[str, Any], outcome: str, reason: str
) -> None:
    found = verdict(rule, facts(**changes), settings=SETTINGS)
    assert (found.outcome, found.reason) == (outcome, reason)


@pytest.mark.parametrize("rule", ["ami-unstated", "ami-statement-contradicted", "ami-packages-changed", "ami-expired"])
def test_a_verdict_that_passed_is_unknown_once_the_ami_cannot_be_read_again(rule: str) -> None:
    known = facts(ami=described(DIGEST), **NAMED, **machine())
    assert verdict(rule, known, settings=SETTINGS).outcome == "pass"
    stale = judged_facts(replace(known, ami=replace(known.ami, failed="throttled since noon")))
    found = verdict(rule, stale, settings=SETTINGS)
    assert found.outcome == "unknown"
    assert "throttled since noon" in found.reason


def test_some_packages_may_differ_if_the_settings_allow_it() -> None:
    known = facts(ami=described(), **NAMED, **machine(DIGEST, "openssl", "libssl3"))
    two = verdict("ami-packages-changed", known, settings=RuleSettings(ami_packages_differing_max=2))
    assert (two.outcome, two.reason) == ("pass", "2 packages differ from the image, 2 may")
    assert verdict("ami-packages-changed", known, settings=RuleSettings(ami_packages_differing_max=1)).outcome == "fail"


def test_the_age_of_a_build_expires_an_ami_only_if_an_age_is_set() -> None:
    known = facts(ami=described(), ami_statements=(statement(finished_at=OLD),))
    assert verdict("ami-expired", known).outcome == "pass"


def test_the_earlier_version_of_the_rule_about_age_judges_as_it_did() -> None:
    rule = next(one for one in RULES if one.id == "ami-expired")
    known = document(facts(ami=described(), ami_statements=(statement(finished_at=OLD),)), settings=SETTINGS)
    assert (judge(rule, known, version=1).outcome, judge(rule, known).outcome) == ("pass", "fail")


def test_what_one_agent_states_does_not_change_what_is_known_of_the_ami() -> None:
    """An AMI is judged once for all its instances, by whichever spoke last."""

    def content(known: Facts) -> object:
        evidence: SubjectEvidence = document(known)
        return evidence.ami_content

    quiet, other = facts(ami=described(), **NAMED), facts(ami=described(), **NAMED, **machine(OTHER))
    assert content(quiet) == content(other)
