"""Violation types of fullstop.: all 31 keep their ids, rules without one get their own, and severities are turned round."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from whence_aggregator.callers.caller import FINDINGS, REPORT_VIOLATIONS, Caller
from whence_aggregator.callers.stups_people import Person, caller_of
from whence_aggregator.compliance.fullstop_types import FULLSTOP_TYPES, type_of_rule
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.fullstop.listing import sort_property
from whence_aggregator.fullstop.type_table import SHIPPED_TYPES
from whence_aggregator.fullstop.types import TITLE_CHARACTERS_MAX, ViolationTypes
from whence_aggregator.settings.server import parse_settings
from whence_common.errors import InputError
from whence_common.settings_file import SettingsInvalid

TYPES = ViolationTypes(RULES)


def test_all_types_that_fullstop_shipped_are_served() -> None:
    assert set(SHIPPED_TYPES) == set(FULLSTOP_TYPES)
    assert len(SHIPPED_TYPES) == 31
    assert set(SHIPPED_TYPES) <= {one.id for one in TYPES.served({})}


def test_each_rule_is_served_with_one_type() -> None:
    assert (type_of_rule("ami-untrusted"), type_of_rule("agent-silent")) == ("WRONG_AMI", "AGENT_SILENT")
    assert (type_of_rule("prowler/iam_root.mfa"), type_of_rule("reported/WRONG_AMI")) == (
        "PROWLER_IAM_ROOT_MFA", "WRONG_AMI",
    )  # fmt: skip
    assert {type_of_rule(rule.id) for rule in RULES} <= set(TYPES.known)


def test_a_severity_is_five_less_ours_and_without_a_rule_the_one_that_it_shipped_with() -> None:
    by_rule = {rule.id: rule for rule in RULES}
    assert by_rule["source-dirty"].severity == 1
    assert TYPES.known["ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY"].violation_severity == 4
    assert TYPES.known["UNSECURED_ROOT_USER"].violation_severity == 4
    assert TYPES.known["CROSS_ACCOUNT_ROLE"].violation_severity == 0
    assert TYPES.of_rule("prowler/iam_root", 1).violation_severity == 4
    assert TYPES.of_rule("reported/NEVER_HEARD_OF", 4).violation_severity == 0
    assert [TYPES.severity(one) for one in ("UNSECURED_ROOT_USER", "CROSS_ACCOUNT_ROLE", "NEVER_HEARD_OF")] == [1, 4, 4]


def test_types_have_short_titles_and_a_help_text() -> None:
    served = TYPES.served({"reported/REPORTED_ONCE": (4, "2026-11-22T12:00:00.000Z")})
    assert "REPORTED_ONCE" in {one.id for one in served}
    for one in served:
        assert 0 < len(one.title) <= TITLE_CHARACTERS_MAX
        assert one.help_text


@pytest.mark.parametrize(
    "text", ["id", "ID", "created", "last_modified", "lastModified", "violationType.id", "accountId"]
)
def test_lists_are_sorted_by_properties_in_any_spelling(text: str) -> None:
    assert sort_property(text)


def test_a_property_that_violations_do_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="no such property"):
        sort_property("password")


def test_the_token_services_scope_reports_violations_of_every_account_and_no_findings() -> None:
    person = Person(uid="robot", realm="/services", scopes=frozenset({"uid", "fullstop.violation.write"}))
    caller = caller_of(person, "t", reads="organisation", now=datetime(2026, 11, 22, tzinfo=UTC))
    assert caller.rights == {REPORT_VIOLATIONS}
    assert caller.may_report_violations_of("123456789012")
    assert not caller.records_findings
    scanner = Caller(name="s", teams=frozenset(), rights=frozenset({FINDINGS}), accounts=frozenset({"123456789012"}))
    assert scanner.may_report_violations_of("123456789012")
    assert not scanner.may_report_violations_of("210987654321")


def test_a_right_that_is_bounded_to_products_reports_no_violations_unless_fullstop_is_one() -> None:
    account = "123456789012"

    def bounded(product: str) -> Caller:
        return Caller(
            name="s", teams=frozenset(), rights=frozenset({FINDINGS}), accounts=frozenset({account}),
            products=frozenset({(account, product)}),
        )  # fmt: skip

    assert (bounded("prowler").reports_violations, bounded("fullstop").reports_violations) == (False, True)
    assert not bounded("prowler").may_report_violations_of(account)
    assert bounded("fullstop").may_report_violations_of(account)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{}", "credentials_file"),
        ("{credentials_file: ''}", "credentials_file must be the path"),
        ("{credentials_file: /f, keep_days: 0}", "keep_days must be from 1"),
        ("{credentials_file: /f, account_day_bytes_max: 5}", "account_day_bytes_max must be from"),
        ("{credentials_file: /f, password: x}", "password"),
    ],
)
def test_settings_of_instance_logs_are_checked_by_name(line: str, says: str) -> None:
    text = f'audience: https://whence.example.org\naccounts: ["123456789012"]\ninstance_logs: {line}\n'
    with pytest.raises(SettingsInvalid) as refused:
        parse_settings(text.encode(), name="aggregator.yaml")
    assert says in refused.value.diagnostics()
