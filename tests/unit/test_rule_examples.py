"""The examples of each rule are true, and every rule states what `GET /v1/rules` shows of it."""

from __future__ import annotations

import re

import msgspec
import pytest

from whence_aggregator.compliance import evidence, rule_settings
from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES, SubjectEvidence
from whence_aggregator.compliance.fullstop_types import CATALOGUE_NAMES, FULLSTOP_TYPES
from whence_aggregator.compliance.rule import ConfiguredSource, Rule, RuleExample
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RULES, NoRules, RulesInForce, judge
from whence_aggregator.trace.lineage import LINK_NAMES
from whence_aggregator.whence.cli import whence

EVERY_SETTING = RuleSettings(
    ami_owners=("123456789012",), ami_builders=("ci",), ami_packages_differing_max=0, instance_days_max=1, image_days_max=1, evidence_days_max=1,
    regions=("eu-central-1",), registries=("registry.example.org",), signers=("release",), builders=("ci",),
    builder_levels={"ci": 3}, slsa_levels={"1": 3}, scm_owners={"git.example.org": ("demo",)},
    user_credential_hours_max=1, client_credential_days_max=1, credential_lag_minutes_max=1,
    credential_unread_hours_max=1,
)  # fmt: skip
EVERY_SOURCE: tuple[ConfiguredSource, ...] = (
    "inventory",
    "organisation",
    "reviews",
    "tickets",
    "approvals",
    "trust",
    "commit-trust",
    "ami-trust",
    "findings",
    "account-configuration",
    "mint",
)


def document(rule: Rule, example: RuleExample) -> SubjectEvidence:
    """Return an example's evidence. A misspelt member would be ignored, so that each is looked for."""
    assert _names(example.given) <= FIELDS, "an example names what the evidence does not have"
    return msgspec.convert({"kind": rule.kind, **example.given}, SubjectEvidence)


def _names(value: object) -> set[str]:
    if isinstance(value, dict):
        inner = {one for name, each in value.items() if name not in FREE for one in _names(each)}
        return {str(name) for name in value if name not in LINK_NAMES} | inner
    return {one for each in value for one in _names(each)} if isinstance(value, list | tuple) else set()


FREE = ("builder_levels", "slsa_levels", "scm_owners")
FIELDS = {
    name
    for module in (evidence, rule_settings)
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, msgspec.Struct)
    for name in one.__struct_fields__
}


@pytest.mark.parametrize(
    ("rule", "example"),
    [pytest.param(rule, one, id=f"{rule.id}-{one.outcome}") for rule in RULES for one in rule.examples],
)
def test_an_example_has_the_outcome_that_it_states(rule: Rule, example: RuleExample) -> None:
    assert judge(rule, document(rule, example)).outcome == example.outcome


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_has_examples_and_says_why_it_matters_and_what_to_do(rule: Rule) -> None:
    assert [one.outcome for one in rule.examples] == ["pass", "fail", "unknown"]
    assert rule.kind in SUBJECTS_OF_RULES
    assert 1 <= rule.severity <= 4
    assert rule.link is None or rule.link in LINK_NAMES
    assert rule.title
    assert rule.rationale.endswith(".")
    assert rule.remedy
    assert judge(rule, SubjectEvidence(kind=rule.kind)).outcome == "unknown", "of nothing, nothing is known"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_command_of_a_remedy_can_be_given(rule: Rule) -> None:
    for words in re.findall(r"whence ((?:[a-z]+|[A-Z]+)(?: (?:[a-z]+|[A-Z]+))*)$", rule.remedy):
        name, *arguments = words.split()
        command = whence.commands[name]
        with command.make_context(name, arguments) as given:
            assert given.params


def test_a_rule_without_its_setting_or_source_is_not_in_force_and_says_why() -> None:
    shown = {str(one["id"]): one for one in RulesInForce.of().to_wire()}
    assert (shown["wrong-region"]["in_force"], shown["wrong-region"]["reason"]) == (
        False,
        "the settings do not have rules.regions",
    )
    assert shown["ami-untrusted"]["reason"] == "the settings do not configure its source: `inventory`"
    assert (shown["image-mutable"]["in_force"], shown["image-mutable"]["reason"]) == (True, None)
    whole = RulesInForce.of(EVERY_SETTING, EVERY_SOURCE)
    assert whole.not_in_force == {}
    assert [one.id for one in whole.rules] == [rule.id for rule in RULES]


def test_an_empty_set_of_rules_is_an_error() -> None:
    with pytest.raises(NoRules, match="no rule is in force: with an empty set of rules, everything would pass"):
        RulesInForce.of(rules=())
    with pytest.raises(NoRules):
        RulesInForce.of(rules=tuple(one for one in RULES if one.id == "wrong-region"))


def test_every_type_of_fullstop_leads_to_rules_that_exist() -> None:
    ids = {rule.id for rule in RULES}
    assert {one for rules in FULLSTOP_TYPES.values() for one in rules} <= ids
    assert set(CATALOGUE_NAMES.values()) <= ids
    assert not set(CATALOGUE_NAMES) & ids
    assert len(FULLSTOP_TYPES) == 31


def test_every_name_of_the_catalogue_is_a_rule_or_leads_to_one() -> None:
    names = [
        "ami-untrusted",
        "ami-unknown",
        "ami-expired",
        "ami-deregistered",
        "instance-too-old",
        "imdsv2-not-required",
        "ssh-keypair-used",
        "secret-in-user-data",
        "wrong-region",
        "instance-without-agent",
        "agent-silent",
        "instance-unknown-to-cloud",
        "report-identity-mismatch",
        "user-data-drift",
        "running-image-drift",
        "undeclared-container",
        "image-not-found",
        "image-registry-not-trusted",
        "image-not-by-digest",
        "image-tag-moved",
        "image-too-old",
        "image-unsigned",
        "signature-invalid",
        "signer-not-allowed",
        "image-cve",
        "no-sbom",
        "base-image-outdated",
        "no-provenance",
        "slsa-level-too-low",
        "builder-not-allowed",
        "provenance-subject-mismatch",
        "scm-source-missing",
        "scm-source-contradicts-provenance",
        "dirty-build",
        "scm-host-or-owner-not-allowed",
        "scm-url-not-match-with-kio",
        "commit-not-found",
        "commit-not-on-default-branch",
        "commit-unsigned",
        "commit-not-reviewed",
        "commit-rewritten",
        "commit-without-ticket",
        "ticket-not-found",
        "ticket-not-approved",
        "ticket-closed-before-commit",
        "ticket-of-other-project",
        "spec-url-missing",
        "app-not-in-kio",
        "app-inactive",
        "app-without-owner",
        "account-not-owners",
        "no-incident-contact",
        "check-could-not-run",
        "evidence-stale",
        "version-not-approved",
        "clock-off",
        "account-uncovered",
    ]
    known = {rule.id for rule in RULES} | set(CATALOGUE_NAMES)
    assert [one for one in names if one not in known] == []
