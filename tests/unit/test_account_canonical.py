"""Policies in one form: what means the same compares as equal."""

from __future__ import annotations

import pytest

from whence_aggregator.accounts.canonical import statement, with_roots


@pytest.mark.parametrize(
    "one, other",
    [
        ({"Action": "SNS:Publish"}, {"Action": ["sns:Publish"]}),
        ({"NotAction": ["SQS:*", "s3:GetObject"]}, {"NotAction": ["s3:GetObject", "sqs:*"]}),
        ({"Action": "*"}, {"Action": ["*", "*"]}),
    ],
)
def test_actions_that_differ_in_the_case_of_their_service_are_equal(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert statement(one) == statement(other)


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
@pytest.mark.parametrize("element", ["Principal", "NotPrincipal"])
def test_the_id_of_an_account_is_the_root_of_that_account_in_its_partition(partition: str, element: str) -> None:
    role = f"arn:{partition}:iam::210987654321:role/x"
    named = {element: {"AWS": ["123456789012", role], "Federated": "123456789012"}, "Effect": "Deny"}
    returned = {
        element: {"AWS": [role, f"arn:{partition}:iam::123456789012:root"], "Federated": ["123456789012"]},
        "Effect": "Deny",
    }  # fmt: skip
    assert statement(with_roots(named, partition)) == statement(returned)


def test_a_statement_without_accounts_is_left_as_it_is() -> None:
    for one in ({"Principal": "*"}, {"Principal": {"Service": "sns.amazonaws.com"}}, {"Action": "sns:Publish"}):
        assert with_roots(one, "aws-cn") == one


def test_actions_of_another_name_differ() -> None:
    assert statement({"Action": "sns:Publish"}) != statement({"Action": "sns:Subscribe"})
