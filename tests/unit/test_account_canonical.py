"""Policies in one form: what means the same compares as equal."""

from __future__ import annotations

import pytest

from whence_aggregator.accounts.canonical import statement


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


def test_the_id_of_an_account_is_the_root_of_that_account() -> None:
    named = {"Principal": {"AWS": ["123456789012", "arn:aws:iam::210987654321:role/x"]}}
    returned = {"Principal": {"AWS": ["arn:aws:iam::210987654321:role/x", "arn:aws:iam::123456789012:root"]}}
    assert statement(named) == statement(returned)
    assert statement({"Principal": {"Federated": "123456789012"}}) == {"Principal": {"Federated": ["123456789012"]}}


def test_actions_of_another_name_differ() -> None:
    assert statement({"Action": "sns:Publish"}) != statement({"Action": "sns:Subscribe"})
