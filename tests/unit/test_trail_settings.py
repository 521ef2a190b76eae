"""The setting cloud_trail: what is accepted, and every mistake with its place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.settings.cloud_trail import CloudTrailSettings, wrong_in_cloud_trail

QUEUE = {"url": "https://sqs.eu-central-1.amazonaws.com/123456789012/trail", "region": "eu-central-1"}
ROLE = "arn:aws:iam::123456789012:role/whence-trail"
GOOD: dict[str, Any] = {"queues": [QUEUE], "buckets": {"audit-logs": {"region": "eu-central-1"}}}


def wrong(**changes: Any) -> list[str]:
    return wrong_in_cloud_trail(msgspec.convert({**GOOD, **changes}, CloudTrailSettings))


def test_queues_and_buckets_with_their_roles_are_accepted() -> None:
    assert wrong() == []
    assert wrong(role_arn=ROLE, external_id="an-id", accounts=["123456789012"], processes=2, receivers=4) == []
    assert wrong(buckets={}, queues=[{**QUEUE, "event_bridge_accounts": ["123456789012"]}]) == []
    assert (
        wrong(buckets={"audit-logs": {"region": "us-gov-west-1", "accounts": ["123456789012"], "role_arn": ROLE}}) == []
    )


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"queues": []}, "cloud_trail needs from 1 to 200 queues"),
        ({"queues": [QUEUE, QUEUE]}, "two queues have the same url"),
        (
            {"queues": [{**QUEUE, "url": "http://sqs.example.org/1/a"}]},
            "cloud_trail.queues[0].url must be the https URL",
        ),
        ({"queues": [{**QUEUE, "url": "https://sqs.example.org/"}]}, "cloud_trail.queues[0].url must be the https URL"),
        ({"queues": [{**QUEUE, "region": "here"}]}, "cloud_trail.queues[0].region is not a region"),
        ({"queues": [{**QUEUE, "role_arn": "admin"}]}, "cloud_trail.queues[0].role_arn is not the ARN of a role"),
        ({"queues": [{**QUEUE, "external_id": "an-id"}]}, "cloud_trail.queues[0].external_id needs role_arn"),
        ({"queues": [{**QUEUE, "topics": ["trail"]}]}, "topics: 'trail' is not the ARN of an SNS topic"),
        ({"queues": [{**QUEUE, "event_bridge_accounts": ["1"]}]}, "event_bridge_accounts: '1' is not an account id"),
        ({"buckets": {"Not_A_Bucket": {"region": "eu-central-1"}}}, "is not the name of a bucket"),
        (
            {"buckets": {"audit-logs": {"region": "eu-central-1", "accounts": ["1"]}}},
            "accounts: '1' is not an account id",
        ),
        ({"buckets": {}}, "no event would be accepted"),
        ({"accounts": []}, "cloud_trail.accounts is empty"),
        ({"accounts": ["12345678901"]}, "cloud_trail.accounts: '12345678901' is not an account id"),
        ({"role_arn": ROLE, "external_id": "x"}, "cloud_trail.external_id must be 2 to 1224"),
        ({"receivers": 0}, "receivers is from 1 to 16"),
        ({"processes": 65}, "processes from 0 to 64"),
        ({"digest_days": 0}, "digest_days from 1 to 400"),
    ],
)
def test_each_mistake_is_named_with_its_place(changes: dict[str, Any], says: str) -> None:
    (found,) = wrong(**changes)
    assert says in found


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        wrong(queue="https://sqs.example.org/1/a")
